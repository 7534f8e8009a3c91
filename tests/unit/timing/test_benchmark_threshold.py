"""The benchmark of thresholds: scales by hand, and fits that are found again where they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from benchmarks.threshold import (
    NONE,
    Fit,
    Scored,
    best_threshold,
    calibration_error,
    compared,
    kept,
    logistic,
    on_scales,
)
from headrank.data.candidates import CandidateList, Passage
from headrank.data.trec import Qrels
from headrank.ranker.ranking import ranked


def drawn(shift: float = 0.0, seed: int = 1, count: int = 4000) -> Scored:
    """Return passages whose relevance is 2 * score - 1 in logits, seen through a shifted score."""
    generator = np.random.default_rng(seed)
    values = generator.normal(0, 1.5, count)
    relevant = generator.random(count) < special.expit(2 * values - 1)
    return Scored(values + shift, relevant, np.arange(count) // 20)


def test_the_curve_that_made_the_labels_is_found():
    one = drawn()
    assert logistic(one.values, one.relevant) == pytest.approx([2, -1], abs=0.15)


def test_the_threshold_is_that_of_the_best_f1():
    values, relevant = np.array([0.1, 0.9, 0.4, 0.6]), np.array([False, True, True, False])
    assert best_threshold(values, relevant) == 0.4
    assert kept(values, relevant, 0.4) == pytest.approx((2 / 3, 1, 0.8))
    nothing = kept(values, relevant, 2.0)
    assert np.isnan(nothing[0]) and nothing[1:] == (0, 0)


def test_the_error_of_a_calibration_is_its_mean_gap():
    relevant = np.array([True, False] * 10)
    assert calibration_error(np.full(20, 0.5), relevant, bins=2) == 0
    assert calibration_error(np.full(20, 0.7), relevant, bins=1) == pytest.approx(0.2)


def test_a_scale_that_holds_is_told_from_one_that_does_not():
    samples = {
        "fitted": {"z": drawn()},
        "alike": {"z": drawn(seed=2)},
        "shifted": {"z": drawn(2.0, seed=3)},
    }
    table = compared(samples, "fitted", resamples=50).set_index("sample")
    assert table.loc["alike", "ece logistic"] < 0.05 and table.loc["alike", "ece isotonic"] < 0.05
    assert table.loc["shifted", "ece logistic"] > 0.2
    assert table.loc["alike", "f1"] == pytest.approx(
        table.loc["alike", "f1 own threshold"], abs=0.02
    )
    assert table.loc["shifted", "precision"] < table.loc["alike", "precision low"]
    row = table.loc["alike"]
    assert row["precision low"] <= row["precision"] <= row["precision high"]
    assert (row["lists"], row["passages"]) == (200, 4000)


def test_a_threshold_that_nothing_reaches_has_no_precision():
    fit = Fit.of(drawn())
    row = fit.row(drawn(-100.0, count=40), resamples=5, seed=1)
    assert np.isnan(row["precision"]) and np.isnan(row["precision low"]) and row["recall"] == 0


class Ranker:
    """Gives each passage the logarithm of its length."""

    def rerank_lists(self, lists):
        for one in lists:
            scores = np.log([len(passage.text) for passage in one.passages])
            yield ranked(one, scores, dict.fromkeys(one.doc_ids, (1, 1)))


def test_each_scale_is_what_it_says():
    texts = ("a" * 10, "b" * 30)
    one = CandidateList("q", "query", ("d1", "d2"), tuple(Passage("", text) for text in texts))
    found = on_scales(Ranker(), [one], Qrels({"q": {"d2": 2, "d3": 1}}))
    assert np.exp(found["score"].values) == pytest.approx([10, 30])
    assert np.exp(found["share"].values) == pytest.approx([0.25, 0.75])
    assert np.exp(found["none"].values) == pytest.approx([10 / len(NONE), 30 / len(NONE)])
    assert found["none"].relevant.tolist() == [False, True]
