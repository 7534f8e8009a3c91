"""Whether a difference between two systems could be chance: tests and intervals over queries.

Every function is deterministic: the same numbers and the same seed give the same result,
whatever else is compared beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from headrank.errors import HeadRankError

GROUP = ("set", "order", "measure")
EXACT_QUERIES = 16
"""Up to so many non-zero differences all 2^n sign patterns are counted."""

_CHUNK = 4_000_000
"""Signs held at once: 32 MB as float64."""


def paired_permutation(
    a: ArrayLike, b: ArrayLike, resamples: int = 100_000, seed: int = 0
) -> float:
    """Return the two-sided p of the paired sign-flip permutation test on the mean difference.

    If the systems were exchangeable, each query's difference would have either sign with
    equal chance. p is the share of sign patterns whose mean is at least as far from 0 as
    the observed one: over all patterns if at most ``EXACT_QUERIES`` differences are not 0,
    else over ``resamples`` random ones with the observed pattern counted as one more
    ((hits + 1) / (resamples + 1)), so p is never 0.

    Args:
        a, b: values of the two systems, [queries], in the same order.

    Raises:
        HeadRankError: unequal lengths, no queries, a value that is not finite, or fewer
            than one resample.

    Source: Smucker, Allan and Carterette, CIKM 2007; Phipson and Smyth, 2010 (the one more).
    """
    if resamples < 1:
        raise HeadRankError(f"resamples is {resamples}; at least 1 is needed")
    differences = _differences(a, b)
    differences = differences[differences != 0]  # they add nothing under either sign
    n = len(differences)
    if n == 0:
        return 1.0
    total = differences.sum()
    # Sums that differ by rounding alone count as equal.
    threshold = abs(total) - 1e-12 * np.abs(differences).sum()
    rng = np.random.default_rng(seed)
    exact = n <= EXACT_QUERIES
    patterns = 2**n if exact else resamples
    rows = max(1, _CHUNK // n)
    hits = 0
    for start in range(0, patterns, rows):
        count = min(rows, patterns - start)
        if exact:
            numbers = np.arange(start, start + count, dtype=np.uint32)
            flipped = (numbers[:, None] >> np.arange(n, dtype=np.uint32)) & 1
        else:
            width = -(-n // 8)
            bits = np.frombuffer(rng.bytes(count * width), np.uint8).reshape(count, width)
            flipped = np.unpackbits(bits, axis=1, count=n)
        sums = total - 2 * (flipped.astype(np.float64) @ differences)
        hits += int(np.count_nonzero(np.abs(sums) >= threshold))
    return hits / patterns if exact else (hits + 1) / (resamples + 1)


def paired_t(a: ArrayLike, b: ArrayLike) -> float:
    """Return the two-sided p of Student's paired t-test, for reference beside the permutation.

    Without spread among the differences the limit is taken: 1 if they are all 0, else 0.
    One query alone gives NaN.

    Raises:
        HeadRankError: as ``paired_permutation``.
    """
    differences = _differences(a, b)
    if len(differences) < 2:
        return float("nan")
    if _constant(differences):
        return 1.0 if abs(differences[0]) < 1e-12 else 0.0
    return float(stats.ttest_1samp(differences, 0).pvalue)


def holm(pvalues: ArrayLike) -> np.ndarray:
    """Return Holm's adjusted p-values, [comparisons], in the order given.

    Comparisons with an adjusted p below alpha can all be claimed with at most alpha chance
    of any false claim among them.

    Raises:
        HeadRankError: a p outside [0, 1] or NaN.

    Source: Holm, 1979: the i-th smallest of m is multiplied by m - i + 1, then made
    monotone and cut at 1.
    """
    p = np.asarray(pvalues, np.float64)
    if p.size and not ((p >= 0) & (p <= 1)).all():
        raise HeadRankError(f"p-values must lie in [0, 1], got {p[~((p >= 0) & (p <= 1))][0]}")
    order = np.argsort(p, kind="stable")
    raised = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1)
    return adjusted


def bca_interval(
    differences: ArrayLike, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Return the bias-corrected and accelerated bootstrap interval of the mean difference.

    If all differences are equal (a single query included) the queries show no spread to
    resample; the interval is then the one point, and says nothing about other queries.

    Raises:
        HeadRankError: no differences, one that is not finite, or a confidence outside (0, 1).

    Source: Efron, 1987, as in ``scipy.stats.bootstrap``.
    """
    if not 0 < confidence < 1:
        raise HeadRankError(f"confidence is {confidence}; choose one between 0 and 1, e.g. 0.95")
    values = _differences(differences, np.zeros_like(np.asarray(differences, np.float64)))
    if _constant(values):
        point = float(values.mean())
        return point, point
    interval = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _CHUNK // len(values)),
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def resampled(
    values: np.ndarray, resamples: int, rng: np.random.Generator, rows: int
) -> np.ndarray:
    """Return ``[resamples, columns]``: values summed over queries drawn with replacement.

    Args:
        values: ``[queries, columns]``.
        rows: samples drawn at once; bounds the memory, ``[rows, queries]`` weights.
    """
    n = len(values)
    shares = np.full(n, 1 / n)
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    return np.concatenate([rng.multinomial(n, shares, size=size) @ values for size in sizes])


def disagree(low: float, high: float, p: float, confidence: float) -> bool:
    """Return whether an interval of a difference and its test say different things.

    They agree if 0 lies outside of the interval just when p is below ``1 - confidence``. With
    few queries a BCa interval is often too narrow, and the test is to be believed.
    """
    return (low > 0 or high < 0) != (p < 1 - confidence)


def compare(
    per_query: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    resamples: int = 100_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return one row a comparison, corrected by Holm over all rows returned: the family.

    The family is every pair in every combination of set, order and measure that
    ``per_query`` holds; it is declared by what is passed in, so leave out what is not
    to be claimed. Columns: set, order, measure, system, baseline, n (queries),
    mean_difference (system - baseline), low, high (BCa interval of it), p (permutation),
    p_holm, p_t (paired t, uncorrected, for reference).

    Args:
        per_query: columns set, order, measure, system, query, value; model and adapter
            belong in the name of the system.
        pairs: (system, baseline) names.

    Raises:
        HeadRankError: a missing column, no pair, a pair twice, a system with itself, a
            system absent from a combination, a query twice, or queries that only one of
            the two has.
    """
    needed = [*GROUP, "system", "query", "value"]
    absent = [column for column in needed if column not in per_query.columns]
    if absent:
        raise HeadRankError(f"the per-query table lacks columns {absent}; it needs {needed}")
    if per_query.empty or not pairs:
        raise HeadRankError("nothing to compare: the per-query table or the list of pairs is empty")
    if len(set(pairs)) < len(pairs) or any(system == baseline for system, baseline in pairs):
        raise HeadRankError(f"each pair must name two systems and occur once, got {list(pairs)}")
    rows = []
    for group, table in per_query.groupby(list(GROUP), sort=False, dropna=False, observed=True):
        values = {name: _by_query(part, group, name) for name, part in table.groupby("system")}
        for system, baseline in pairs:
            a, b = _aligned(values, group, system, baseline)
            own = _seed(seed, *group, system, baseline)
            low, high = bca_interval(a - b, confidence, seed=own)
            rows.append(
                {
                    **dict(zip(GROUP, group, strict=True)),
                    "system": system,
                    "baseline": baseline,
                    "n": len(a),
                    "mean_difference": float((a - b).mean()),
                    "low": low,
                    "high": high,
                    "p": paired_permutation(a, b, resamples, own),
                    "p_t": paired_t(a, b),
                }
            )
    result = pd.DataFrame(rows)
    result.insert(result.columns.get_loc("p") + 1, "p_holm", holm(result["p"]))
    return result


def _differences(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise HeadRankError(
            f"paired values must be two lists of one length, got shapes {first.shape} and "
            f"{second.shape}; align them by query"
        )
    if not len(first):
        raise HeadRankError("no queries to compare")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise HeadRankError("a value is NaN or infinite; evaluate the runs again")
    return first - second


def _constant(differences: np.ndarray) -> bool:
    """Return whether the differences are equal up to rounding."""
    return bool(np.ptp(differences) <= 1e-12 * max(1.0, np.abs(differences).max()))


def _by_query(part: pd.DataFrame, group: tuple, name: str) -> pd.Series:
    values = part.set_index("query")["value"]
    if not values.index.is_unique:
        query = values.index[values.index.duplicated()][0]
        raise HeadRankError(
            f"{_title(group)}: query {query} has several values for {name}; models and "
            "adapters need system names of their own"
        )
    return values.sort_index()


def _aligned(
    values: dict[str, pd.Series], group: tuple, system: str, baseline: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return both systems' values, [queries], in the same order of queries."""
    for name in (system, baseline):
        if name not in values:
            raise HeadRankError(
                f"{_title(group)}: no values for {name} (there are {', '.join(values)}); evaluate "
                "it there or leave the pair or the combination out"
            )
    a, b = values[system], values[baseline]
    if not a.index.equals(b.index):
        lone = sorted(map(str, a.index.symmetric_difference(b.index)))
        raise HeadRankError(
            f"{_title(group)}: {len(lone)} queries have values for only one of {system} and "
            f"{baseline}, e.g. {', '.join(lone[:3])}; evaluate both on the same qrels"
        )
    return a.to_numpy(np.float64), b.to_numpy(np.float64)


def _title(group: tuple) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(GROUP, group, strict=True))


def _seed(seed: int, *names: object) -> int:
    """Return a seed for one comparison, so that p does not depend on its neighbours."""
    text = "\x1f".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
