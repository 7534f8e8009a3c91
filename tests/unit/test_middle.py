"""The middle zone: promotion, its intervals and the spread of scores, by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrank.errors import HeadRankError
from headrank.methods import Fold
from headrank.middle import (
    Scored,
    by_position,
    middle_zone,
    outcomes,
    position_share,
    promotion,
    promotion_change,
    prompt_orders,
    scored_reading,
    scored_run,
    top_quartile,
)
from headrank.reading import ListReading, ReadingFile, save_readings
from headrank.trec import Qrels, Run

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
    return pd.DataFrame(rows, columns=["query", "relevant", "promoted"])


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
    same = promotion_change(before, before, resamples=200).set_index("kind")
    assert same.loc["relevant", ["change", "low", "high"]].tolist() == [0, 0, 0]
    with pytest.raises(HeadRankError, match="1 queries stand in only one"):
        promotion_change(before, after[after["query"] != "q3"])


def test_by_position_by_hand():
    lists = [
        Scored("q1", ("a", "b"), np.array([0.0, 2.0])),  # z: -1, 1
        Scored("q2", ("c", "d", "e", "f"), np.array([4.0, 0.0, 0.0, 4.0])),  # z: 1, -1, -1, 1
    ]
    table = by_position(lists, Qrels({"q1": {"b": 1}}), parts=2)
    rows = table.set_index(["part", "kind"])
    assert rows.loc[(1, "all"), "documents"] == 3 and rows.loc[(1, "other"), "documents"] == 3
    assert rows.loc[(1, "all"), "mean"] == pytest.approx(-1 / 3)
    assert rows.loc[(1, "all"), "sd"] == pytest.approx(np.std([-1, 1, -1], ddof=1))
    assert rows.loc[(2, "relevant"), ["documents", "mean"]].tolist() == [1, 1]
    assert np.isnan(rows.loc[(2, "relevant"), "sd"]) and np.isnan(rows.loc[(1, "relevant"), "mean"])
    assert rows.loc[(2, "other"), "mean"] == 0
    assert table[["start", "stop"]].drop_duplicates().to_numpy().tolist() == [[0, 0.5], [0.5, 1]]


def test_position_share_is_one_for_position_and_near_zero_for_noise():
    generator = np.random.default_rng(0)
    names = tuple(f"d{i}" for i in range(20))
    recency = [Scored(f"q{i}", names, np.arange(20.0)) for i in range(5)]
    assert position_share(by_position(recency, Qrels({}), 20)) == pytest.approx(1)
    noise = [Scored(f"q{i}", names, generator.normal(size=20)) for i in range(300)]
    assert position_share(by_position(noise, Qrels({}), 10)) < 0.01
    equal = [Scored("q", names, np.ones(20))]
    assert position_share(by_position(equal, Qrels({}), 10)) == 0


def test_short_lists_and_no_lists_are_refused():
    with pytest.raises(HeadRankError, match="query q has 2 documents, fewer than the 10 parts"):
        by_position([Scored("q", ("a", "b"), np.array([0.0, 1.0]))], Qrels({}))
    with pytest.raises(HeadRankError, match="no list"):
        by_position([], Qrels({}))


def test_scores_of_a_reading_and_of_its_run_agree(tmp_path):
    mass = np.array([[[0.3, 0.1, 0.6]], [[0.2, 0.2, 0.6]]], dtype=np.float32)
    save_readings(tmp_path / "r.npz", [ListReading("q", ("x", "y", "z"), mass)], {})
    shards = [ReadingFile(tmp_path / "r.npz")]
    orders = prompt_orders(shards)
    assert orders == {"q": ("x", "y", "z")}
    (folded,) = scored_reading(shards, None, Fold())
    assert folded.scores == pytest.approx([0.5, 0.3, 1.2])
    run = Run.from_scores({"q": {"z": 1.2, "x": 0.5, "y": 0.3}})
    (given_run,) = scored_run(orders, run)
    assert given_run.doc_ids == folded.doc_ids
    assert given_run.scores == pytest.approx(folded.scores)
    with pytest.raises(HeadRankError, match="no score for document z"):
        list(scored_run(orders, Run.from_scores({"q": {"x": 0.5, "y": 0.3}})))
