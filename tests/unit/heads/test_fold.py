"""Folds by hand: sums, logarithms, z-scores, calibration, the outlier rule, fusion."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrank.baselines.simple import fuse, random_run
from headrank.data.heads import Head, HeadSet, every_head
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.heads.fold import aggregate, fold, rank, without_outliers
from headrank.heads.zscore import zscore
from headrank.options.fold import AGGREGATIONS, Fold
from headrank.reading.readings import ListReading, ReadingFile, save_readings

# Two layers of two heads over three documents.
MASS = np.array(
    [[[0.1, 0.2, 0.3], [0.4, 0.4, 0.1]], [[0.2, 0.1, 0.5], [0.05, 0.15, 0.25]]], dtype=np.float32
)
BLANK = np.array(
    [[[0.1, 0.1, 0.1], [0.2, 0.3, 0.2]], [[0.1, 0.3, 0.2], [0.1, 0.1, 0.1]]], dtype=np.float32
)
PLAIN = ListReading("q1", ("a", "b", "c"), MASS, BLANK)
TWO = HeadSet((Head(1, 0), Head(0, 1)))


def test_sum_over_selected_heads():
    np.testing.assert_allclose(fold(PLAIN, TWO, Fold()), [0.6, 0.5, 0.6], rtol=1e-6)


def test_no_heads_named_means_all_heads():
    scores = fold(PLAIN, None, Fold())
    np.testing.assert_allclose(scores, [0.75, 0.85, 1.15], rtol=1e-6)
    np.testing.assert_array_equal(scores, fold(PLAIN, every_head(2, 2), Fold()))


def test_log_sum_is_the_logarithm_of_the_sum():
    expected = [math.log(0.6), math.log(0.5), math.log(0.6)]
    np.testing.assert_allclose(fold(PLAIN, TWO, Fold(aggregation="log-sum")), expected, rtol=1e-6)


def test_mean_of_z_scores():
    # (0.2, 0.1, 0.5): mean 4/15, deviation sqrt(26)/30; (0.4, 0.4, 0.1): mean 0.3, sqrt(0.02).
    first = (np.array([0.2, 0.1, 0.5]) - 4 / 15) / (math.sqrt(26) / 30)
    second = np.array([1, 1, -2]) / math.sqrt(2)
    np.testing.assert_allclose(
        fold(PLAIN, TWO, Fold(aggregation="mean-z")), (first + second) / 2, rtol=1e-5
    )


def test_mean_of_log_shares():
    first, second = np.array([2, 1, 5]) / 8, np.array([4, 4, 1]) / 9
    np.testing.assert_allclose(
        fold(PLAIN, TWO, Fold(aggregation="mean-log-share")),
        (np.log(first) + np.log(second)) / 2,
        rtol=1e-5,
    )


def test_calibration_subtracts_the_content_free_query():
    np.testing.assert_allclose(fold(PLAIN, TWO, Fold(calibrate=True)), [0.3, -0.1, 0.2], atol=1e-6)
    np.testing.assert_allclose(
        fold(PLAIN, None, Fold(calibrate=True)), (MASS - BLANK).sum((0, 1)), atol=1e-6
    )


def test_largest_logits_are_averaged_over_the_heads():
    logits = np.arange(12, dtype=np.float32).reshape(2, 2, 3) - 7
    reading = ListReading("q1", ("a", "b", "c"), MASS, max_logits=logits)
    options = Fold(aggregation="max-logit")
    np.testing.assert_array_equal(fold(reading, TWO, options), [-2.5, -1.5, -0.5])
    with pytest.raises(HeadRankError, match=r"q1: the reading holds no largest.*max_logits: true"):
        fold(PLAIN, TWO, options)
    logits[1, 0, 2] = -np.inf
    with pytest.raises(HeadRankError, match="out of the sliding window of a head and has no log"):
        fold(reading, TWO, options)


@pytest.mark.parametrize("how", ["log-sum", "mean-log-share"])
def test_no_mass_has_a_finite_logarithm(how):
    scores = aggregate(np.array([[0.0, 0.5], [0.0, 0.5]]), how)
    assert np.isfinite(scores).all() and scores[0] < scores[1]


def test_z_scores_of_constants_are_zero():
    # The mean of three times 0.1 is not 0.1 in floating point.
    np.testing.assert_array_equal(zscore(np.full((2, 3), 0.1)), np.zeros((2, 3)))
    np.testing.assert_allclose(zscore(np.array([1.0, 3.0])), [-1, 1])
    np.testing.assert_array_equal(zscore(np.array([5.0])), [0])


def test_the_outlier_rule_by_hand():
    # Mean -0.9, unbiased deviation sqrt(90.9 / 9) = 3.178: the limit is -7.256.
    first = [0.0] * 9 + [-10.0]
    first[0] = 1.0
    # Mean 0.5 and deviation 0.577: nothing lies below -0.655.
    second = [0.0, 1.0, 0.0, 1.0]
    # One token: it stays, whatever it is. Two: neither is ever two deviations away.
    contrast = np.array([*first, *second, -7.0, -5.0, 1.0])
    spans = np.array([[0, 10], [10, 14], [14, 15], [15, 17]])
    np.testing.assert_allclose(without_outliers(contrast, spans), [1.0, 2.0, -7.0, -4.0])


def test_the_outlier_rule_uses_the_unbiased_deviation():
    # Mean -1, deviation sqrt(5) unbiased and 2 biased: -5 falls below -1 - 2 * 2 = -5 only
    # in the biased form (at most the limit is dropped).
    contrast = np.array([0.0, 0.0, 0.0, 0.0, -5.0])
    assert contrast.mean() == -1 and contrast.std() == 2
    np.testing.assert_allclose(without_outliers(contrast, np.array([[0, 5]])), [-5.0])


def test_a_token_at_the_limit_is_dropped():
    # Constant tokens lie exactly at mean - 2 * 0.
    np.testing.assert_array_equal(without_outliers(np.full(4, 0.5), np.array([[0, 4]])), [0.0])


def test_strongly_positive_tokens_stay():
    contrast = np.array([0.0] * 9 + [10.0])
    np.testing.assert_allclose(without_outliers(contrast, np.array([[0, 10]])), [10.0])


def outlier_reading():
    """Return a reading whose heads have different outlier tokens, and none when summed."""
    tokens = np.zeros((1, 2, 10), dtype=np.float32)
    tokens[0, 0, 0], tokens[0, 1, 0] = -10.0, 10.0
    tokens[0, 0, 1:6] = 1.0
    tokens[0, 1, 9] = -10.0
    spans = np.array([[0, 10]])
    ones = np.ones((1, 2, 1), dtype=np.float32)
    return ListReading("q", ("a",), ones, ones, spans, tokens.sum((0, 1)), tokens)


def test_outliers_are_dropped_after_the_heads_are_summed():
    reading = outlier_reading()
    options = Fold(calibrate=True, outliers=True)
    # Summed, token 0 is 0 and only token 9 (-10) is an outlier.
    np.testing.assert_allclose(fold(reading, None, options), [5.0])
    np.testing.assert_allclose(fold(reading, every_head(1, 2), options), [5.0])
    # The first head alone: token 0 falls. The second alone: token 9.
    np.testing.assert_allclose(fold(reading, HeadSet((Head(0, 0),)), options), [5.0])
    np.testing.assert_allclose(fold(reading, HeadSet((Head(0, 1),)), options), [10.0])


OPTIONS = [
    *(Fold(aggregation=how) for how in AGGREGATIONS),
    Fold(calibrate=True),
    Fold(calibrate=True, aggregation="mean-z"),
    Fold(calibrate=True, outliers=True),
]


@settings(deadline=None, max_examples=80)
@given(
    options=st.sampled_from(OPTIONS),
    heads=st.sampled_from([None, HeadSet((Head(1, 2), Head(0, 0), Head(2, 1)))]),
    order=st.permutations(range(6)),
    seed=st.integers(0, 1000),
)
def test_permuting_documents_permutes_scores(options, heads, order, seed):
    generator = np.random.default_rng(seed)
    widths = generator.integers(1, 9, size=6)
    masses = generator.random((2, 3, 3, widths.sum()))
    whole = [_reading(masses, widths, places) for places in (range(6), order)]
    scores, moved = (fold(reading, heads, options) for reading in whole)
    np.testing.assert_allclose(moved, scores[list(order)], rtol=1e-5, atol=1e-6)
    assert len(set(np.round(scores, 6))) == 6


def _reading(masses, widths, order):
    """Return the reading of token masses ``[2, layers, heads, tokens]``, documents in order."""
    ends = widths.cumsum()
    cut = [masses[..., end - width : end] for end, width in zip(ends, widths, strict=True)]
    moved = np.concatenate([cut[i] for i in order], axis=-1)
    sums = np.stack([cut[i].sum(-1) for i in order], axis=-1)
    ends = widths[list(order)].cumsum()
    spans = np.stack([ends - widths[list(order)], ends], axis=1)
    tokens = moved[0] - moved[1]
    names = tuple(f"d{i}" for i in order)
    largest = np.stack([np.log(cut[i][0]).max(-1) for i in order], axis=-1)
    return ListReading("q", names, sums[0], sums[1], spans, tokens.sum((0, 1)), tokens, largest)


def test_rank_joins_shards_and_sorts(tmp_path):
    other = ListReading("q2", ("x", "y"), MASS[..., :2], BLANK[..., :2])
    for name, reading in (("0", PLAIN), ("1", other)):
        save_readings(tmp_path / name, [reading], {})
    shards = [ReadingFile(tmp_path / name) for name in "01"]
    run = rank(shards, TWO, Fold(calibrate=True), "mine")
    assert run.name == "mine"
    assert [d for d, _ in run.rankings["q1"]] == ["a", "c", "b"]
    assert run.rankings["q2"][0] == ("x", pytest.approx(0.3, abs=1e-6))


def test_rank_reads_tokens_only_for_outliers_of_chosen_heads(tmp_path):
    save_readings(tmp_path / "0", [outlier_reading()], {})
    shards = [ReadingFile(tmp_path / "0")]
    options = Fold(calibrate=True, outliers=True)
    (((_, score),),) = rank(shards, HeadSet((Head(0, 1),)), options, "x").rankings.values()
    assert score == pytest.approx(10.0)


def test_what_was_not_read_is_refused():
    bare = ListReading("q7", ("a", "b", "c"), MASS)
    with pytest.raises(HeadRankError, match="query q7: the reading holds no calibration; read aga"):
        fold(bare, None, Fold(calibrate=True))
    few = outlier_reading()
    few = ListReading("q7", few.doc_ids, few.query, few.calibration, few.spans, few.contrast)
    fold(few, None, Fold(calibrate=True, outliers=True))
    with pytest.raises(HeadRankError, match=r"query q7: token masses were not kept.*tokens: all"):
        fold(few, HeadSet((Head(0, 0),)), Fold(calibrate=True, outliers=True))
    with pytest.raises(HeadRankError, match="layer 2, head 0 is selected, but the reading has 2"):
        fold(PLAIN, HeadSet((Head(2, 0),)), Fold())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"aggregation": "max"},
            r"fold\.aggregation is 'max'; allowed: sum, log-sum, mean",
        ),
        ({"calibrate": 1}, r"fold\.calibrate is 1; allowed: true or false"),
        ({"calibrated": True}, r"calibrated is not a key; .*\(did you mean 'calibrate'\?\)"),
        ({"outliers": True}, r"fold\.outliers is true; allowed: false, since calibrate is false"),
        (
            {"calibrate": True, "aggregation": "log-sum"},
            "'log-sum'; allowed with calibrate: sum",
        ),
        (
            {"calibrate": True, "aggregation": "mean-log-share"},
            "share'; allowed with calibrate: sum",
        ),
        (
            {"calibrate": True, "outliers": True, "aggregation": "mean-z"},
            "allowed with outliers: sum",
        ),
    ],
)
def test_folds_without_a_meaning_are_refused(options, message):
    with pytest.raises(HeadRankError, match=message):
        Fold(**options)


def test_fusion_by_hand():
    run = Run.from_scores({"q": {"a": 3.0, "b": 2.0, "c": 1.0}}, "heads")
    first = Run.from_scores({"q": {"a": 0.0, "b": 10.0, "c": 2.0, "unranked": 99.0}}, "bm25")
    fused = fuse(run, first)
    assert fused.name == "heads+bm25"
    z = np.array([1, 0, -1]) * math.sqrt(1.5)  # of 3, 2, 1
    other = (np.array([0, 10, 2]) - 4) / math.sqrt(56 / 3)  # of the documents of the run only
    expected = dict(zip("abc", z + other, strict=True))
    assert dict(fused.rankings["q"]) == pytest.approx(expected)
    assert [d for d, _ in fused.rankings["q"]] == ["b", "a", "c"]


def test_fusion_with_a_constant_stage_keeps_the_order():
    run = Run.from_scores({"q": {"a": 3.0, "b": 2.0, "c": 1.0}})
    fused = fuse(run, Run.from_scores({"q": {"a": 0.1, "b": 0.1, "c": 0.1}}))
    assert [d for d, _ in fused.rankings["q"]] == ["a", "b", "c"]


@pytest.mark.parametrize("first", [{"q": {"a": 1.0}}, {"other": {"a": 1.0, "b": 2.0}}])
def test_fusion_needs_the_first_stages_scores(first):
    run = Run.from_scores({"q": {"a": 3.0, "b": 2.0}})
    with pytest.raises(HeadRankError, match="query q: the first stage has no score for document"):
        fuse(run, Run.from_scores(first))


def test_random_runs_are_seeded_by_query():
    candidates = Run.from_scores(
        {q: {f"d{i}": -float(i) for i in range(20)} for q in ("q1", "q2", "q3")}
    )
    run = random_run(candidates, 4)
    assert run == random_run(candidates, 4)
    orders = {q: [d for d, _ in ranking] for q, ranking in run.rankings.items()}
    assert all(
        sorted(o) == sorted(d for d, _ in candidates.rankings["q1"]) for o in orders.values()
    )
    assert len({tuple(order) for order in orders.values()}) == 3
    assert random_run(candidates, 5).rankings["q1"] != run.rankings["q1"]
    # A query's order does not depend on the others.
    alone = random_run(Run({"q2": candidates.rankings["q2"]}), 4)
    assert alone.rankings["q2"] == run.rankings["q2"]
