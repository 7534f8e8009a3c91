"""The middle zone: promotion, its intervals and the spread of scores, by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.evaluation.middle_zone import (
    middle_zone,
    outcomes,
    promotion,
    promotion_change,
    top_quartile,
)

EIGHT = tuple("abcdefgh")


def ranked(query_orders, name="r"):
    """Run that ranks documents in the order given."""
    return Run.from_scores(
        {q: {d: -float(i) for i, d in enumerate(ids)} for q, ids in query_orders.items()}, name
    )


@given(st.integers(2, 200))
@settings(max_examples=60, deadline=None)
def test_zone_and_quartile_of_any_length(count):
    zone = middle_zone(count)
    assert len(zone) >= 1 and zone.start >= 0 and zone.stop <= count
    assert abs(len(zone) - count / 2) <= 1
    assert 1 <= top_quartile(count) <= max(1, count / 4)


def test_outcomes_of_one_list():
    # Eight documents: the middle zone is c..f, the top quartile two ranks.
    table = outcomes({"q": EIGHT}, ranked({"q": "dahcbefg"}), Qrels({"q": {"d": 2, "c": 0}}))
    assert list(table["document"]) == list("cdef")
    assert list(table["position"]) == [2, 3, 4, 5]
    assert list(table["rank"]) == [4, 1, 6, 7]
    assert list(table["relevant"]) == [False, True, False, False]
    assert list(table["promoted"]) == [False, True, False, False]


@pytest.mark.parametrize("level, relevant", [(1, [True, True]), (2, [False, True])])
def test_outcomes_know_the_lowest_relevant_grade(level, relevant):
    table = outcomes({"q": EIGHT}, ranked({"q": EIGHT}), Qrels({"q": {"c": 1, "d": 2}}), level)
    assert list(table["relevant"])[:2] == relevant


def test_outcomes_refuse_another_run():
    with pytest.raises(HeadRankError, match=r"query q: the run r ranks 2 documents, .* holds 8"):
        outcomes({"q": EIGHT}, ranked({"q": "ab"}), Qrels({}))
    with pytest.raises(HeadRankError, match="at least two documents"):
        outcomes({"q": ("a",)}, ranked({"q": "a"}), Qrels({}))


def flags(*rows):
    table = pd.DataFrame(rows, columns=["query", "relevant", "promoted"])
    return table.assign(document=[f"d{i}" for i in range(len(rows))])


def test_promotion_pools_documents():
    table = flags(
        ("q1", True, True),
        ("q1", True, False),
        ("q1", False, True),
        ("q1", False, False),
        ("q2", True, True),
        ("q2", False, False),
        ("q2", False, False),
        ("q3", False, False),
    )
    rates = promotion(table, resamples=500, seed=1).set_index("kind")
    assert rates["rate"].to_dict() == pytest.approx(
        {"relevant": 2 / 3, "other": 1 / 5, "gap": 2 / 3 - 1 / 5}
    )
    assert rates["documents"].to_dict() == {"relevant": 3, "other": 5, "gap": 8}
    assert rates["queries"].to_dict() == {"relevant": 2, "other": 3, "gap": 3}
    assert (rates["low"] <= rates["rate"]).all() and (rates["rate"] <= rates["high"]).all()


def test_promotion_interval_keeps_a_query_together():
    # Two queries, all or nothing: samples of two queries give 0, 1/2 or 1 only.
    table = flags(*[("q1", True, True)] * 50, *[("q2", True, False)] * 50, ("q1", False, False))
    rates = promotion(table, resamples=400, seed=0).set_index("kind")
    assert rates.loc["relevant", ["rate", "low", "high"]].tolist() == [0.5, 0.0, 1.0]


def test_promotion_interval_agrees_with_the_normal_approximation():
    generator = np.random.default_rng(3)
    rows = [(f"q{i}", True, bool(x)) for i, x in enumerate(generator.random(400) < 0.6)]
    rates = promotion(flags(*rows), resamples=4000, seed=0).set_index("kind")
    rate, low, high = rates.loc["relevant", ["rate", "low", "high"]]
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(rate * (1 - rate) / 400), rel=0.08)
    assert np.isnan(rates.loc["other", "rate"]) and np.isnan(rates.loc["gap", "low"])


def test_promotion_is_seeded():
    table = flags(*[(f"q{i}", i % 2 == 0, i % 3 == 0) for i in range(40)])
    first, again = (promotion(table, resamples=300, seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    other = promotion(table, resamples=300, seed=6)
    assert not first["low"].equals(other["low"])


def test_promotion_change_is_paired():
    before = flags(*[(f"q{i}", True, i < 4) for i in range(8)], ("q0", False, True))
    after = before.assign(promoted=before["promoted"] | (before["query"] == "q7"))
    change = promotion_change(before, after, resamples=500, seed=0).set_index("kind")
    assert change.loc["relevant", "change"] == pytest.approx(1 / 8)
    assert change.loc["other", "change"] == 0
    # Only q7 changes, so no resample can lower the rate.
    assert change.loc["relevant", "low"] >= 0
    # One query alone differs: either sign is as far from 0.
    assert change["p"].tolist() == [1.0, 1.0, 1.0]
    every = before.assign(promoted=before["promoted"] | before["relevant"])
    # Four queries gain as much: 2 of 16 patterns.
    assert promotion_change(before, every).set_index("kind").loc["relevant", "p"] == 2 / 16
    same = promotion_change(before, before, resamples=200).set_index("kind")
    assert same.loc["relevant", ["change", "low", "high"]].tolist() == [0, 0, 0]
    with pytest.raises(HeadRankError, match="1 queries stand in only one"):
        promotion_change(before, after[after["query"] != "q3"])


def test_a_document_of_several_seeds_is_counted_once():
    table = outcomes({"q": EIGHT}, ranked({"q": "dahcbefg"}), Qrels({"q": {"d": 2}}))
    other = outcomes({"q": EIGHT}, ranked({"q": "ahcbefgd"}), Qrels({"q": {"d": 2}}))
    rates = promotion(pd.concat([table, other]), resamples=100).set_index("kind")
    assert rates["documents"].to_dict() == {"relevant": 1, "other": 3, "gap": 4}
    assert rates.loc["relevant", "rate"] == 0.5  # promoted in one run of two
