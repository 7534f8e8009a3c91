"""Training-free methods as folds: from one reading to one score a document.

ICR (arXiv 2410.02642), QRHead (2506.09944), CoRe (2510.02219) and HeadRank
(2604.17237) read the same numbers. They differ in the heads they sum, in whether the
content-free query is subtracted and outlier tokens dropped, and in how heads are joined.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headrank.data.heads import HeadSet, every_head
from headrank.data.trec import Run
from headrank.errors import HeadRankError, brief
from headrank.heads.zscore import zscore
from headrank.options.fold import MAX_LOGIT, Fold
from headrank.reading.readings import ListReading, ReadingFile

# Below the smallest mass a float32 softmax over a long prompt gives a document.
_TINY = 1e-12


def fold(
    reading: ListReading, heads: HeadSet | None, options: Fold, *, blind: bool = False
) -> np.ndarray:
    """Return ``[docs]`` float64 scores of one list; higher is more relevant.

    Args:
        heads: the heads to join; None joins all (ICR).
        blind: allow heads whose sliding window hides a document: a control, no method.

    Raises:
        HeadRankError: the reading lacks the calibration or the token arrays, or a head cannot
            see a document.
    """
    if heads is not None and not blind:
        reading.check_sight(heads)
    layers, width, _ = reading.query.shape
    if options.calibrate and reading.calibration is None:
        raise HeadRankError(
            f"query {brief(reading.query_id)}: the reading holds no calibration; read again with "
            "one, or set calibrate: false"
        )
    if options.aggregation == MAX_LOGIT and reading.max_logits is None:
        raise HeadRankError(
            f"query {brief(reading.query_id)}: the reading holds no largest logits, which "
            "aggregation max-logit folds; set reading.max_logits: true and read again"
        )
    if options.outliers:
        return without_outliers(_contrast(reading, heads), reading.spans)
    mask = (heads or every_head(layers, width)).mask(layers, width)
    if options.aggregation == MAX_LOGIT:
        scores = fold_masses(reading.max_logits[mask], None, options)
        if not np.isfinite(scores).all():
            raise HeadRankError(
                f"query {brief(reading.query_id)}: a document lies out of the sliding window of a "
                "head and has no logits; select heads that see all documents, or fold masses"
            )
        return scores
    calibration = reading.calibration[mask] if options.calibrate else None
    return fold_masses(reading.query[mask], calibration, options)


def fold_masses(masses: np.ndarray, calibration: np.ndarray | None, options: Fold) -> np.ndarray:
    """Return ``[docs]`` float64 scores of the heads that are joined, their outliers kept.

    Args:
        masses: ``[heads, docs]`` attention of the query; its largest logits for ``max-logit``.
        calibration: the same of the content-free query, which is subtracted; None without.
    """
    masses = masses.astype(np.float64)
    if calibration is not None:
        masses -= calibration
    return aggregate(masses, options.aggregation)


def aggregate(masses: np.ndarray, how: str) -> np.ndarray:
    """Return ``[docs]`` from ``[heads, docs]``."""
    if how == "sum":
        return masses.sum(axis=0)
    if how == "log-sum":
        return np.log(np.maximum(masses.sum(axis=0), _TINY))
    if how == MAX_LOGIT:
        return masses.mean(axis=0)
    if how == "mean-z":
        return zscore(masses).mean(axis=0)
    shares = np.maximum(masses, _TINY)
    return np.log(shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)


def _contrast(reading: ListReading, heads: HeadSet | None) -> np.ndarray:
    """Return ``[tokens]``: calibrated mass of each document token, summed over the heads."""
    if heads is None:
        return reading.contrast
    if reading.tokens is None:
        raise HeadRankError(
            f"query {brief(reading.query_id)}: token masses were not kept; read again with tokens: "
            "all"
        )
    layers, width, _ = reading.tokens.shape
    return reading.tokens[heads.mask(layers, width)].sum(axis=0, dtype=np.float64)


def without_outliers(contrast: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Return ``[docs]``: each document's sum without its strongly negative tokens.

    ICR's rule: of each document, tokens at most its mean minus two (unbiased) standard
    deviations are dropped, the rest are summed. A document of one token keeps it.

    Args:
        contrast: ``[tokens]`` calibrated masses, already summed over the heads.
        spans: ``[docs, 2]`` token ranges.
    """
    scores = np.empty(len(spans))
    for number, (start, stop) in enumerate(spans):
        values = contrast[start:stop].astype(np.float64)
        if len(values) > 1:
            values = values[values > values.mean() - 2 * values.std(ddof=1)]
        scores[number] = values.sum()
    return scores


def rank(
    shards: Sequence[ReadingFile],
    heads: HeadSet | None,
    options: Fold,
    name: str,
    *,
    blind: bool = False,
) -> Run:
    """Return the run of a method over all shards of a query set; arguments as for ``fold``."""
    tokens = options.outliers and heads is not None
    return Run.from_scores(
        {
            reading.query_id: dict(
                zip(
                    reading.doc_ids,
                    fold(reading, heads, options, blind=blind).tolist(),
                    strict=True,
                )
            )
            for shard in shards
            for reading in shard.lists(tokens=tokens)
        },
        name,
    )
