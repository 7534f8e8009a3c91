"""Homogenisation: do scores follow the position in the prompt, and do they differ there at all?

Two measures [ours] of what the paper (arXiv 2604.17237) calls homogenised scores: the share of
the variance of irrelevant documents that their position explains, and how far the scores of a
zone of the prompt lie apart, as a share of how far those of the whole list do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.evaluation.middle_zone import middle_zone
from headrank.evaluation.significance import bca_interval
from headrank.heads.fold import fold
from headrank.heads.zscore import zscore
from headrank.options.fold import Fold
from headrank.reading.readings import ReadingFile

ZONES = ("start", "middle", "end")


@dataclass(frozen=True)
class Scored:
    """One list's relevance: ``doc_ids`` in prompt order, ``scores`` ``[docs]``."""

    query_id: str
    doc_ids: tuple[str, ...]
    scores: np.ndarray


def scored_reading(
    shards: Iterable[ReadingFile], heads: HeadSet | None, options: Fold
) -> Iterator[Scored]:
    """Yield the relevance of each list under a fold; ``heads=None`` joins all heads."""
    tokens = options.outliers and heads is not None
    for shard in shards:
        for reading in shard.lists(tokens=tokens):
            yield Scored(reading.query_id, reading.doc_ids, fold(reading, heads, options))


def parts_of(lists: Iterable[Scored], most: int) -> int:
    """Return into how many parts prompts are cut: as many as half of the lists have documents.

    A first stage that finds few documents makes short lists; those below are left out.

    Raises:
        HeadRankError: no list.
    """
    lengths = sorted(len(item.doc_ids) for item in lists)
    if not lengths:
        raise HeadRankError("there is no list to look at")
    return min(most, lengths[len(lengths) // 2])


def by_position(
    lists: Iterable[Scored], qrels: Qrels, parts: int = 10, relevance_level: int = 1
) -> pd.DataFrame:
    """Return mean and spread of relevance along the prompt.

    Relevance is z-scored within each list; the prompt is cut in ``parts`` of equal length,
    so lists of different lengths join. Rows: part (from 1) x kind (all, relevant, other).
    Columns: part, start, stop (shares of the prompt), kind, documents, mean, sd (NaN if
    fewer than two documents). Lists of several training seeds are joined in mean and sd; their
    documents count once, since seeds share queries and places and are no samples of one another.

    Args:
        relevance_level: lowest grade that is relevant, as for AP and R (2 for TREC DL).

    Raises:
        HeadRankError: no list, or fewer documents than parts.
    """
    table = _documents(lists, qrels, parts, relevance_level)
    kinds = {"all": slice(None), "relevant": table["relevant"], "other": ~table["relevant"]}
    rows = []
    for part in range(parts):
        for kind, chosen in kinds.items():
            values = table.loc[chosen]
            values = values[values["part"] == part]
            z = values["z"].to_numpy()
            rows.append(
                {
                    "part": part + 1,
                    "start": part / parts,
                    "stop": (part + 1) / parts,
                    "kind": kind,
                    "documents": len(values[["query", "document"]].drop_duplicates()),
                    "mean": z.mean() if len(z) else np.nan,
                    "sd": z.std(ddof=1) if len(z) > 1 else np.nan,
                }
            )
    return pd.DataFrame(rows)


def position_share(positions: pd.DataFrame, kind: str = "other") -> float:
    """Return the share (0..1) of the variance of z that the prompt position explains.

    Taken over the documents that are not relevant: among them nothing but position and
    noise should move a score. Near 1, position decides. NaN where there is no such document.

    Args:
        positions: of ``by_position``.
    """
    part = positions[(positions["kind"] == kind) & (positions["documents"] > 0)]
    if part.empty:
        return float("nan")
    count, mean = part["documents"].to_numpy(float), part["mean"].to_numpy()
    within = (np.nan_to_num(part["sd"].to_numpy()) ** 2 * (count - 1)).sum()
    between = (count * (mean - np.average(mean, weights=count)) ** 2).sum()
    return float(between / (between + within)) if between + within > 0 else 0.0


def chance_share(positions: pd.DataFrame, kind: str = "other") -> float:
    """Return the share that positions without any say would explain, in expectation.

    Means of parts differ by chance, too. Where all documents are exchangeable it is
    ``(parts - 1) / (documents - 1)``, the degrees of freedom between parts over all of them. NaN
    where there is no such document.

    Args:
        positions: of ``by_position``.
    """
    count = positions.loc[positions["kind"] == kind, "documents"]
    count = count[count > 0]
    return float((len(count) - 1) / max(count.sum() - 1, 1)) if len(count) else float("nan")


def zone_spread(lists: Iterable[Scored], confidence: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Return how far scores lie apart in the start, middle and end of the prompt.

    The standard deviation of a zone's scores over that of the list's: near 0 the zone is
    homogenised, near 1 it is as wide as the list. Rows: zone. Columns: zone, spread (root of
    the variances' ratio, averaged over queries, each the mean of its lists), low, high (BCa
    over queries), queries. The middle is positions n/4 to 3n/4.
    Left out are lists with fewer than two documents in a zone or scores that do not differ;
    without any list the spread is NaN.
    """
    rows = []
    for item in lists:
        scores = np.asarray(item.scores, dtype=float)
        zone = middle_zone(len(scores))
        cut = [scores[: zone.start], scores[zone.start : zone.stop], scores[zone.stop :]]
        if min(map(len, cut)) > 1 and scores.std() > 0:
            whole = scores.var(ddof=1)
            rows.append([item.query_id, *(part.var(ddof=1) / whole for part in cut)])
    if not rows:
        nothing = dict.fromkeys(("spread", "low", "high"), np.nan)
        return pd.DataFrame({"zone": ZONES, **nothing, "queries": 0})
    ratios = pd.DataFrame(rows, columns=["query", *ZONES]).groupby("query").mean()
    bounds = [bca_interval(ratios[zone], confidence, seed=seed) for zone in ZONES]
    return pd.DataFrame(
        {
            "zone": ZONES,
            "spread": np.sqrt(ratios[list(ZONES)].mean().to_numpy()),
            "low": np.sqrt([low for low, _ in bounds]),
            "high": np.sqrt([high for _, high in bounds]),
            "queries": len(ratios),
        }
    )


def _documents(
    lists: Iterable[Scored], qrels: Qrels, parts: int, relevance_level: int
) -> pd.DataFrame:
    """Return one row a document of a list: query, document, part of the prompt (from 0), z,
    relevant.
    """
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
            relevant = grades.get(item.doc_ids[place], 0) >= relevance_level
            own = (item.query_id, item.doc_ids[place])
            rows.append((*own, place * parts // count, float(z), relevant))
    if not rows:
        raise HeadRankError("there is no list to look at")
    return pd.DataFrame(rows, columns=["query", "document", "part", "z", "relevant"])
