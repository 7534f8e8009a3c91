"""Tests and intervals over queries: exact where it can be counted, lawful elsewhere."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from headrank.errors import HeadRankError
from headrank.evaluation import significance
from headrank.evaluation.significance import (
    bca_interval,
    compare,
    holm,
    paired_permutation,
    paired_t,
)

UNIT = st.floats(0, 1, allow_subnormal=False)
PVALUES = st.lists(UNIT, min_size=1, max_size=12)


def systems(n, shift, seed=1):
    rng = np.random.default_rng(seed)
    base = rng.random(n)
    return base + rng.normal(shift, 0.2, n), base


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=8))
def test_few_queries_are_counted_exactly(values):
    a, b = np.array(values).T
    differences = a - b
    # Whole numbers of 2^-20 add without rounding.
    differences = np.round(differences * 2**20)
    observed = abs(differences.sum())
    sums = [
        abs(np.dot(signs, differences))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    expected = np.mean([total >= observed for total in sums])
    assert paired_permutation(differences, np.zeros(len(a))) == pytest.approx(expected)


def test_known_exact_values():
    # Five queries, all better by the same: 2 of 32 patterns are as far from 0.
    assert paired_permutation([1] * 5, [0] * 5) == 2 / 32
    # .1 + .2 and .3 differ in floating point; the pattern counts as equal.
    assert paired_permutation([0.1, 0.2, -0.3], [0, 0, 0]) == 1.0
    assert paired_permutation([0.3, 0.1, 0.2], [0, 0, 0]) == 2 / 8
    assert paired_permutation([0.4, 0.4], [0.4, 0.4]) == 1.0
    assert paired_permutation([0.4], [0.1]) == 1.0


@pytest.mark.parametrize("n", [8, 16, 17, 60])
def test_p_is_symmetric_deterministic_and_blind_to_equal_queries(n):
    a, b = systems(n, 0.05)
    p = paired_permutation(a, b, 5000, seed=3)
    assert p == paired_permutation(a, b, 5000, seed=3)
    assert p == paired_permutation(b, a, 5000, seed=3)
    tied = np.full(40, 0.5)
    more = paired_permutation(np.append(a, tied), np.append(b, tied), 5000, seed=3)
    assert more == p


def test_p_from_resamples_agrees_with_the_exact_one_and_with_scipy(monkeypatch):
    a, b = systems(14, 0.1)
    exact = paired_permutation(a, b)
    reference = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
    ).pvalue
    assert exact == pytest.approx(reference)
    monkeypatch.setattr(significance, "EXACT_QUERIES", 0)
    assert paired_permutation(a, b, 50_000, seed=0) == pytest.approx(exact, abs=0.006)


def test_p_is_never_zero_and_counts_the_observed_pattern():
    assert paired_permutation(np.ones(100), np.zeros(100), 999) == 1 / 1000


def test_chunks_do_not_change_the_exact_count(monkeypatch):
    a, b = systems(10, 0.1)
    whole = paired_permutation(a, b)
    monkeypatch.setattr(significance, "_CHUNK", 37)
    assert paired_permutation(a, b) == whole


def test_p_is_uniform_when_there_is_no_difference():
    rng = np.random.default_rng(5)
    found = [
        paired_permutation(rng.normal(size=30), rng.normal(size=30), 500, seed)
        for seed in range(300)
    ]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_paired_t_is_scipys_and_has_limits():
    a, b = systems(40, 0.05)
    assert paired_t(a, b) == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert paired_t([1, 2, 3], [1, 2, 3]) == 1.0
    assert paired_t([1.5, 2.5], [1, 2]) == 0.0
    assert math.isnan(paired_t([1], [0]))


@given(PVALUES)
def test_holm_laws(pvalues):
    adjusted = holm(pvalues)
    p = np.array(pvalues)
    assert ((adjusted >= p) & (adjusted <= 1)).all()
    assert (adjusted <= np.minimum(p * len(p), 1)).all()  # never above Bonferroni
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert adjusted[order[0]] == min(p.min() * len(p), 1)
    # Equal p, equal adjusted p: the result cannot depend on the rows' order.
    assert len({(x, y) for x, y in zip(p, adjusted, strict=True)}) == len(set(p))


@given(PVALUES, st.randoms())
def test_holm_follows_its_rows(pvalues, rng):
    places = list(range(len(pvalues)))
    rng.shuffle(places)
    shuffled = holm([pvalues[place] for place in places])
    assert shuffled.tolist() == holm(pvalues)[places].tolist()


def test_holm_worked_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_p(p):
    with pytest.raises(HeadRankError, match=r"\[0, 1\]"):
        holm([0.5, p])


def test_the_interval_is_seeded_and_mirrored():
    a, b = systems(50, 0.1)
    low, high = bca_interval(a - b, seed=4)
    assert (low, high) == bca_interval(a - b, seed=4)
    assert low < np.mean(a - b) < high
    wide = bca_interval(a - b, confidence=0.99, seed=4)
    assert wide[0] < low
    assert high < wide[1]
    assert bca_interval(b - a, seed=4) == pytest.approx((-high, -low), abs=0.01)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(11)
    covered = 0
    for seed in range(200):
        low, high = bca_interval(rng.normal(0.2, 1, 40), confidence=0.9, resamples=500, seed=seed)
        covered += low <= 0.2 <= high
    assert 165 <= covered <= 193  # 180 expected, standard deviation 4.2


@pytest.mark.parametrize("differences", [[0.25], [0.25] * 9, [0.1 + 0.2, 0.3, 0.3]])
def test_without_spread_the_interval_is_the_point(differences):
    low, high = bca_interval(differences)
    assert low == high == pytest.approx(differences[-1])


def test_the_interval_of_one_odd_query_is_finite():
    low, high = bca_interval([0.0] * 30 + [1.0])
    assert 0 <= low < high <= 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_permutation([1, 2], [1]), "one length"),
        (lambda: paired_permutation([], []), "no queries"),
        (lambda: paired_permutation([1, math.nan], [1, 2]), "NaN"),
        (lambda: paired_permutation([1], [2], resamples=0), "resamples is 0"),
        (lambda: bca_interval([1, math.inf]), "infinite"),
        (lambda: bca_interval([1, 2], confidence=95), "confidence is 95"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(HeadRankError, match=message):
        call()


def table(n=24, sets=("s1", "s2"), orders=("shuffled",), names=("bm25", "icr", "ours")):
    rng = np.random.default_rng(7)
    rows = [
        {
            "set": group,
            "order": order,
            "measure": "nDCG@10",
            "system": name,
            "query": f"q{query}",
            "value": rng.random() + 0.1 * place,
        }
        for group in sets
        for order in orders
        for place, name in enumerate(names)
        for query in range(n)
    ]
    return pd.DataFrame(rows)


PAIRS = [("ours", "bm25"), ("ours", "icr")]


def test_compare_is_tidy_and_corrects_over_the_family():
    per_query = table(orders=("shuffled", "first-stage"))
    result = compare(per_query, PAIRS, resamples=2000)
    assert result.columns.tolist() == [
        *("set", "order", "measure", "system", "baseline", "n", "mean_difference"),
        *("low", "high", "p", "p_holm", "p_t"),
    ]
    assert len(result) == 2 * 2 * 2
    assert set(result["n"]) == {24}
    assert result["p_holm"].tolist() == holm(result["p"]).tolist()
    row = result.iloc[0]
    assert (row["set"], row["order"], row["system"], row["baseline"]) == (
        *("s1", "shuffled"),
        *PAIRS[0],
    )
    values = per_query.query("set == 's1' and order == 'shuffled'").pivot(
        index="query", columns="system", values="value"
    )
    differences = values["ours"] - values["bm25"]
    assert row["mean_difference"] == pytest.approx(differences.mean())
    assert row["low"] < row["mean_difference"] < row["high"]
    assert row["p_t"] == pytest.approx(stats.ttest_rel(values["ours"], values["bm25"]).pvalue)


def test_a_comparison_does_not_depend_on_its_neighbours_or_on_row_order():
    per_query = table()
    whole = compare(per_query, PAIRS, resamples=2000, seed=9)
    shuffled = compare(per_query.sample(frac=1, random_state=2), PAIRS, resamples=2000, seed=9)
    key = ["set", "system", "baseline"]
    pd.testing.assert_frame_equal(
        whole.sort_values(key, ignore_index=True), shuffled.sort_values(key, ignore_index=True)
    )
    alone = compare(per_query.query("set == 's2'"), PAIRS[1:], resamples=2000, seed=9)
    columns = ["mean_difference", "low", "high", "p", "p_t"]
    same = whole.query("set == 's2' and baseline == 'icr'")
    assert alone[columns].to_numpy().tolist() == same[columns].to_numpy().tolist()
    other = compare(per_query, PAIRS, resamples=2000, seed=10)
    assert other["p"].tolist() != whole["p"].tolist()


@pytest.mark.parametrize(
    ("change", "pairs", "message"),
    [
        (lambda t: t.drop(columns="order"), PAIRS, r"lacks columns \['order'\]"),
        (lambda t: t, [], "nothing to compare"),
        (lambda t: t[:0], PAIRS, "nothing to compare"),
        (lambda t: t, PAIRS + PAIRS[:1], "occur once"),
        (lambda t: t, [("ours", "ours")], "name two systems"),
        (lambda t: t, [("ours", "core")], "set s1, .*: no values for core"),
        (lambda t: pd.concat([t, t[:1]]), PAIRS, "query q0 has several values for bm25"),
        (lambda t: t[1:], PAIRS, "1 queries have values for only one of ours and bm25, e.g. q0"),
        (lambda t: t.assign(value=math.nan), PAIRS, "NaN"),
    ],
)
def test_compare_refuses_what_it_cannot_pair(change, pairs, message):
    with pytest.raises(HeadRankError, match=message):
        compare(change(table(n=5)), pairs, resamples=100)
