"""The middle zone of the prompt: which of its documents are promoted.

Middle zone [ours]: prompt positions n/4..3n/4. Promotion [ours, after the paper's words,
arXiv 2604.17237]: a middle-zone document is promoted if it reaches the top quartile of the
final ranking; a random ranking promotes a quarter. The selectivity gap is the promotion
rate of the relevant ones less that of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.evaluation.significance import paired_permutation, resampled
from headrank.reading.readings import ReadingFile

KINDS = ("relevant", "other", "gap")
_COUNTS = ["relevant", "relevant_promoted", "other", "other_promoted"]
_CHUNK = 2_000_000  # weights drawn at once: 16 MB


def middle_zone(count: int) -> range:
    """Return the middle positions of a prompt of ``count`` documents, counted from 0."""
    return range(count // 4, (3 * count) // 4)


def top_quartile(count: int) -> int:
    """Return how many ranks of ``count`` form the top quartile, at least one."""
    return max(1, count // 4)


def prompt_orders(shards: Iterable[ReadingFile]) -> dict[str, tuple[str, ...]]:
    """Return ``{query_id: doc_ids in prompt order}`` of a query set's readings."""
    return {
        entry["query_id"]: tuple(entry["doc_ids"])
        for shard in shards
        for entry in shard.meta["queries"]
    }


def outcomes(
    orders: Mapping[str, Sequence[str]], run: Run, qrels: Qrels, relevance_level: int = 1
) -> pd.DataFrame:
    """Return one row a middle-zone document: what became of it.

    Columns: query, document, position (from 0), rank (from 1), relevant, promoted. A
    document without a judgment counts as not relevant.

    Args:
        relevance_level: lowest grade that is relevant, as for AP and R (2 for TREC DL).

    Raises:
        HeadRankError: the run does not rank exactly the documents of a prompt.
    """
    rows = []
    for query, doc_ids in orders.items():
        ranks = {d: rank for rank, (d, _) in enumerate(run.rankings.get(query, []), start=1)}
        if set(ranks) != set(doc_ids):
            raise HeadRankError(
                f"query {query}: the run {run.name} ranks {len(ranks)} documents, the prompt "
                f"holds {len(doc_ids)}, {len(set(ranks) & set(doc_ids))} of them in both; take "
                "the run that was made from this reading"
            )
        grades = qrels.grades.get(query, {})
        for position in middle_zone(len(doc_ids)):
            document = doc_ids[position]
            rows.append(
                {
                    "query": query,
                    "document": document,
                    "position": position,
                    "rank": ranks[document],
                    "relevant": grades.get(document, 0) >= relevance_level,
                    "promoted": ranks[document] <= top_quartile(len(doc_ids)),
                }
            )
    if not rows:
        raise HeadRankError("no prompt has a middle zone; lists need at least two documents")
    return pd.DataFrame(rows)


def promotion(
    table: pd.DataFrame, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Return promotion rates: rows relevant, other and gap; shares in 0..1.

    Columns: kind, rate, low, high, documents, queries. Rates pool the documents of all
    queries; intervals are percentiles of a bootstrap over queries, whose documents are kept
    together. Without a relevant (or other) document its rate and the gap are NaN. A document
    that stands in the runs of several training seeds is counted once.

    Args:
        table: of ``outcomes``.
    """
    counts = _counts(table).to_numpy(float)
    samples = _resampled(counts, resamples, seed)
    bounds = _bounds(_rates(samples), confidence)
    rates = _rates(counts.sum(axis=0, keepdims=True))[0]
    once = _counts(table.drop_duplicates(["query", "document"])).to_numpy().sum(axis=0)
    documents = [once[0], once[2], once[0] + once[2]]
    queries = [(counts[:, 0] > 0).sum(), (counts[:, 2] > 0).sum(), len(counts)]
    return pd.DataFrame(
        {
            "kind": KINDS,
            "rate": rates,
            "low": bounds[0],
            "high": bounds[1],
            "documents": np.array(documents, dtype=int),
            "queries": np.array(queries, dtype=int),
        }
    )


def promotion_change(
    before: pd.DataFrame,
    after: pd.DataFrame,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return after less before: kind, change, low, high, p; both are resampled together.

    p is that of the paired permutation test: within each query the two may change places. A
    query's share is what its promoted documents add to the rate. NaN without such documents.

    Raises:
        HeadRankError: the two tables hold different queries.
    """
    first, second = _counts(before), _counts(after)
    if set(first.index) != set(second.index):
        raise HeadRankError(
            f"{len(set(first.index) ^ set(second.index))} queries stand in only one of the two "
            "tables; compare runs of the same queries"
        )
    both = np.hstack([first.to_numpy(float), second.loc[first.index].to_numpy(float)])
    width = len(_COUNTS)
    samples = _resampled(both, resamples, seed)
    bounds = _bounds(_rates(samples[:, width:]) - _rates(samples[:, :width]), confidence)
    total = both.sum(axis=0, keepdims=True)
    change = (_rates(total[:, width:]) - _rates(total[:, :width]))[0]
    shares = [_shares(both[:, :width]), _shares(both[:, width:])]
    tests = [
        paired_permutation(shares[1][:, place], shares[0][:, place], resamples, seed)
        if np.isfinite(change[place])
        else np.nan
        for place in range(len(KINDS))
    ]
    return pd.DataFrame(
        {"kind": KINDS, "change": change, "low": bounds[0], "high": bounds[1], "p": tests}
    )


def _shares(counts: np.ndarray) -> np.ndarray:
    """Return ``[queries, 3]``: what each query adds to the rates of ``_rates``, and their gap."""
    total = counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        relevant, other = counts[:, 1] / total[0], counts[:, 3] / total[2]
    return np.stack([relevant, other, relevant - other], axis=1)


def _counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``[queries, 4]``: documents and promoted ones, relevant and other."""
    relevant = table["relevant"].astype(bool)
    promoted = table["promoted"].astype(bool)
    columns = [relevant, relevant & promoted, ~relevant, ~relevant & promoted]
    frame = pd.concat(columns, axis=1, keys=_COUNTS).astype(int)
    return frame.groupby(table["query"], sort=False).sum()


def _resampled(counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return ``[samples, columns]``: the counts summed over queries drawn with replacement."""
    rows = max(1, _CHUNK // len(counts))
    return resampled(counts, resamples, np.random.default_rng(seed), rows)


def _rates(sums: np.ndarray) -> np.ndarray:
    """Return ``[samples, 3]`` rates of relevant, other, and their gap, from ``[samples, 4]``."""
    with np.errstate(invalid="ignore", divide="ignore"):
        relevant, other = sums[:, 1] / sums[:, 0], sums[:, 3] / sums[:, 2]
    return np.stack([relevant, other, relevant - other], axis=1)


def _bounds(samples: np.ndarray, confidence: float) -> np.ndarray:
    """Return ``[2, columns]`` percentile bounds; samples without such a document are left out."""
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    known = [column[np.isfinite(column)] for column in samples.T]
    return np.stack(
        [np.quantile(c, tails) if len(c) else np.full(2, np.nan) for c in known], axis=1
    )
