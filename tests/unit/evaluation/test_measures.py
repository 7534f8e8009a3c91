"""Evaluation: every judged query counts, our order is measured, bad scores are refused."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.evaluation.measures import MEASURES, evaluate


def values(run, qrels, *measures, **options):
    """Return ``{(query, measure): value}``."""
    table = evaluate(Run(run), Qrels(qrels), measures, **options)
    return {(row.query, row.measure): row.value for row in table.itertuples()}


def ranking(*documents):
    return [(document, float(-place)) for place, document in enumerate(documents)]


def test_each_measure_on_a_ranking_worked_by_hand():
    # Ranks: b (grade 1), x (unjudged), a (grade 3), y (grade 0); c (grade 2) is not found.
    run = {"q": ranking("b", "x", "a", "y")}
    qrels = {"q": {"a": 3, "b": 1, "c": 2, "y": 0}}
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    expected = {
        "nDCG@10": (1 + 3 / 2) / ideal,  # linear gain; rank 3 is discounted by log2(4) = 2
        "nDCG@1": 1 / 3,
        "AP": (1 / 1 + 2 / 3) / 3,
        "RR": 1.0,
        "P@1": 1.0,
        "P@3": 2 / 3,
        "P@10": 0.2,
        "R@1": 1 / 3,
        "R@100": 2 / 3,
        "judged@2": 0.5,
        "judged@10": 0.3,
    }
    found = values(run, qrels, *expected)
    assert found == {("q", name): pytest.approx(value) for name, value in expected.items()}


def test_the_relevance_level_moves_the_binary_measures_only():
    run = {"q": ranking("b", "x", "a")}
    qrels = {"q": {"a": 3, "b": 1, "c": 2}}
    found = values(run, qrels, "AP", "RR", "P@3", "R@10", "nDCG@10", relevance_level=2)
    assert found == {
        ("q", "AP"): pytest.approx(1 / 3 / 2),
        ("q", "RR"): pytest.approx(1 / 3),
        ("q", "P@3"): pytest.approx(1 / 3),
        ("q", "R@10"): pytest.approx(1 / 2),
        ("q", "nDCG@10"): values(run, qrels, "nDCG@10")["q", "nDCG@10"],
    }


def test_every_judged_query_counts_in_the_order_of_the_qrels():
    run = Run({"unjudged": ranking("a"), "found": ranking("a"), "empty": []})
    qrels = Qrels(
        {
            "missing": {"a": 1},
            "found": {"a": 1},
            "empty": {"a": 1},
            "nothing-relevant": {"a": 0},
        }
    )
    table = evaluate(run, qrels, ["nDCG@10", "RR", "judged@1"])
    assert table.columns.tolist() == ["query", "measure", "value"]
    assert table["query"].tolist() == [query for query in qrels.grades for _ in range(3)]
    assert table["measure"].tolist() == ["nDCG@10", "RR", "judged@1"] * 4
    assert table["value"].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_a_query_with_no_relevant_document_counts_as_zero():
    assert values({"q": ranking("a")}, {"q": {"a": 0, "b": -1}}, "nDCG@10", "R@10") == {
        ("q", "nDCG@10"): 0.0,
        ("q", "R@10"): 0.0,
    }


def test_negative_grades_gain_nothing():
    run = {"q": ranking("spam", "a")}
    low = values(run, {"q": {"spam": -2, "a": 1}}, "nDCG@10", "RR")
    assert low == values(run, {"q": {"spam": 0, "a": 1}}, "nDCG@10", "RR")


@pytest.mark.parametrize("scores", [(1.0, 1.0), (1.00000001, 1.0), (20000001.0, 20000000.0)])
def test_our_order_is_measured_whatever_the_scores(scores):
    # trec_eval itself would put b before a: it compares float32 and breaks ties by docid down.
    run = {"q": list(zip(("a", "b"), scores, strict=True))}
    assert values(run, {"q": {"a": 1}}, "RR") == {("q", "RR"): 1.0}


@settings(max_examples=60, deadline=None)
@given(
    st.permutations([f"d{n}" for n in range(8)]),
    st.dictionaries(st.sampled_from([f"d{n}" for n in range(10)]), st.integers(0, 3), min_size=1),
)
def test_values_depend_on_the_order_alone(documents, grades):
    qrels = {"q": grades}
    ties = {"q": [(document, 0.25) for document in documents]}
    names = ("nDCG@5", "AP", "RR", "R@3", "P@3", "judged@3")
    found = values(ties, qrels, *names)
    assert found == values({"q": ranking(*documents)}, qrels, *names)

    gains = [max(grades.get(document, 0), 0) for document in documents]
    best = sorted(grades.values(), reverse=True)
    dcg, ideal = (
        sum(gain / math.log2(rank + 1) for rank, gain in enumerate(order[:5], start=1))
        for order in (gains, best)
    )
    assert found["q", "nDCG@5"] == pytest.approx(dcg / ideal if ideal else 0.0)
    first = next((rank for rank, gain in enumerate(gains, start=1) if gain), None)
    assert found["q", "RR"] == pytest.approx(1 / first if first else 0.0)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused(score):
    with pytest.raises(HeadRankError, match=f"query q, document b: score is {score}"):
        values({"q": [("a", 2.0), ("b", score)]}, {"q": {"a": 1}}, "AP")


def test_a_run_out_of_order_or_with_repeats_is_refused():
    with pytest.raises(HeadRankError, match=r"query q, rank 2: score 2\.0 is above"):
        values({"q": [("a", 1.0), ("b", 2.0)]}, {"q": {"a": 1}}, "AP")
    with pytest.raises(HeadRankError, match="ranked twice"):
        values({"q": [("a", 2.0), ("a", 1.0)]}, {"q": {"a": 1}}, "AP")


@pytest.mark.parametrize(
    "name", ["ndcg@10", "nDCG", "nDCG@0", "nDCG@ten", "MAP", "AP@10", "RR@10", "P", "R@-1", ""]
)
def test_an_unknown_measure_is_refused_with_the_allowed_names(name):
    with pytest.raises(HeadRankError) as error:
        values({"q": ranking("a")}, {"q": {"a": 1}}, name)
    assert repr(name) in str(error.value)
    assert all(allowed in str(error.value) for allowed in MEASURES)


def test_other_bad_input_is_refused():
    with pytest.raises(HeadRankError, match="no measure"):
        values({"q": ranking("a")}, {"q": {"a": 1}})
    with pytest.raises(HeadRankError, match="relevance level is 0"):
        values({"q": ranking("a")}, {"q": {"a": 1}}, "AP", relevance_level=0)
    with pytest.raises(HeadRankError, match=r"share no query \(run: 1, 2, 3, \.\.\.; qrels: q\)"):
        values({str(n): ranking("a") for n in range(1, 6)}, {"q": {"a": 1}}, "AP")


def test_a_measure_named_twice_is_computed_once():
    assert len(evaluate(Run({"q": ranking("a")}), Qrels({"q": {"a": 1}}), ["RR", "RR"])) == 1
