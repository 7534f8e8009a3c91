"""The middle zone of the prompt: which of its documents are promoted, and how scores spread.

Middle zone [ours]: prompt positions n/4..3n/4. Promotion [ours, after the paper's words,
arXiv 2604.17237]: a middle-zone document is promoted if it reaches the top quartile of the
final ranking; a random ranking promotes a quarter. The selectivity gap is the promotion
rate of the relevant ones less that of the others. Homogenisation: scores that follow the
position and hardly differ within one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from headrank.errors import HeadRankError
from headrank.heads import HeadSet
from headrank.methods import Fold, fold, zscore
from headrank.reading import ReadingFile
from headrank.trec import Qrels, Run

KINDS = ("relevant", "other", "gap")
_COUNTS = ["relevant", "relevant_promoted", "other", "other_promoted"]
_CHUNK = 2_000_000  # weights drawn at once: 16 MB


@dataclass(frozen=True)
class Scored:
    """One list's relevance: ``doc_ids`` in prompt order, ``scores`` ``[docs]``."""

    query_id: str
    doc_ids: tuple[str, ...]
    scores: np.ndarray


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
    together. Without a relevant (or other) document its rate and the gap are NaN.

    Args:
        table: of ``outcomes``.
    """
    counts = _counts(table).to_numpy(float)
    samples = np.concatenate(list(_resampled(counts, resamples, seed)))
    bounds = _bounds(_rates(samples), confidence)
    rates = _rates(counts.sum(axis=0, keepdims=True))[0]
    documents = [counts[:, 0].sum(), counts[:, 2].sum(), counts[:, [0, 2]].sum()]
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
    """Return after less before: kind, change, low, high; both are resampled together.

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
    samples = np.concatenate(list(_resampled(both, resamples, seed)))
    bounds = _bounds(_rates(samples[:, width:]) - _rates(samples[:, :width]), confidence)
    total = both.sum(axis=0, keepdims=True)
    change = (_rates(total[:, width:]) - _rates(total[:, :width]))[0]
    return pd.DataFrame({"kind": KINDS, "change": change, "low": bounds[0], "high": bounds[1]})


def scored_reading(
    shards: Iterable[ReadingFile], heads: HeadSet | None, options: Fold
) -> Iterator[Scored]:
    """Yield the relevance of each list under a fold; ``heads=None`` joins all heads."""
    tokens = options.outliers and heads is not None
    for shard in shards:
        for reading in shard.lists(tokens=tokens):
            yield Scored(reading.query_id, reading.doc_ids, fold(reading, heads, options))


def scored_run(orders: Mapping[str, Sequence[str]], run: Run) -> Iterator[Scored]:
    """Yield the scores of a run in prompt order.

    Raises:
        HeadRankError: the run lacks a document of a prompt.
    """
    for query, doc_ids in orders.items():
        scores = dict(run.rankings.get(query, []))
        missing = [document for document in doc_ids if document not in scores]
        if missing:
            raise HeadRankError(
                f"query {query}: the run {run.name} has no score for document {missing[0]}; take "
                "the run that was made from this reading"
            )
        yield Scored(query, tuple(doc_ids), np.array([scores[d] for d in doc_ids]))


def by_position(lists: Iterable[Scored], qrels: Qrels, parts: int = 10) -> pd.DataFrame:
    """Return mean and spread of relevance along the prompt.

    Relevance is z-scored within each list; the prompt is cut in ``parts`` of equal length,
    so lists of different lengths join. Rows: part (from 1) x kind (all, relevant, other).
    Columns: part, start, stop (shares of the prompt), kind, documents, mean, sd (NaN if
    fewer than two documents).

    Raises:
        HeadRankError: no list, or fewer documents than parts.
    """
    table = _documents(lists, qrels, parts)
    kinds = {"all": slice(None), "relevant": table["relevant"], "other": ~table["relevant"]}
    rows = []
    for part in range(parts):
        for kind, chosen in kinds.items():
            values = table.loc[chosen]
            z = values.loc[values["part"] == part, "z"].to_numpy()
            rows.append(
                {
                    "part": part + 1,
                    "start": part / parts,
                    "stop": (part + 1) / parts,
                    "kind": kind,
                    "documents": len(z),
                    "mean": z.mean() if len(z) else np.nan,
                    "sd": z.std(ddof=1) if len(z) > 1 else np.nan,
                }
            )
    return pd.DataFrame(rows)


def position_share(positions: pd.DataFrame, kind: str = "other") -> float:
    """Return the share (0..1) of the variance of z that the prompt position explains.

    Taken over the documents that are not relevant: among them nothing but position and
    noise should move a score. Near 1, position decides.

    Args:
        positions: of ``by_position``.
    """
    part = positions[(positions["kind"] == kind) & (positions["documents"] > 0)]
    count, mean = part["documents"].to_numpy(float), part["mean"].to_numpy()
    within = (np.nan_to_num(part["sd"].to_numpy()) ** 2 * (count - 1)).sum()
    between = (count * (mean - np.average(mean, weights=count)) ** 2).sum()
    return float(between / (between + within)) if between + within > 0 else 0.0


def _documents(lists: Iterable[Scored], qrels: Qrels, parts: int) -> pd.DataFrame:
    """Return one row a document: part of the prompt (from 0), z, relevant."""
    rows = []
    for item in lists:
        count = len(item.doc_ids)
        if count < parts:
            raise HeadRankError(
                f"query {item.query_id} has {count} documents, fewer than the {parts} parts of "
                "the prompt; use fewer parts"
            )
        grades = qrels.grades.get(item.query_id, {})
        for place, z in enumerate(zscore(np.asarray(item.scores, dtype=float))):
            relevant = grades.get(item.doc_ids[place], 0) > 0
            rows.append((place * parts // count, float(z), relevant))
    if not rows:
        raise HeadRankError("there is no list to look at")
    return pd.DataFrame(rows, columns=["part", "z", "relevant"])


def _counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``[queries, 4]``: documents and promoted ones, relevant and other."""
    relevant = table["relevant"].astype(bool)
    promoted = table["promoted"].astype(bool)
    columns = [relevant, relevant & promoted, ~relevant, ~relevant & promoted]
    frame = pd.concat(columns, axis=1, keys=_COUNTS).astype(int)
    return frame.groupby(table["query"], sort=False).sum()


def _resampled(counts: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield ``[samples, columns]``: the counts summed over queries drawn with replacement."""
    generator = np.random.default_rng(seed)
    size = len(counts)
    step = max(1, _CHUNK // size)
    for start in range(0, resamples, step):
        weights = generator.multinomial(
            size, np.full(size, 1 / size), size=min(step, resamples - start)
        )
        yield weights @ counts


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
