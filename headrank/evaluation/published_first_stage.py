"""Our first stage against a published one: the same number, or a difference that is told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from headrank.collections.collection import load_qrels, load_queries
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.evaluation.measures import evaluate

MEASURE = "nDCG@10"
# Published numbers have four decimals; a difference of more than five units in the last one is
# no matter of ties or rounding.
TOLERANCE = 0.0005


@dataclass(frozen=True)
class Published:
    """nDCG@10 of a first stage that others published.

    Attributes:
        value: as a share of 1.
        source: who published it, with which settings.
        note: a known reason for ours to differ; empty for none.
    """

    value: float
    source: str
    note: str = ""


def compare_first_stages(
    entries: Iterable[tuple[str, str, str | os.PathLike, str | os.PathLike, Published]],
) -> pd.DataFrame:
    """Return one row a split, with nDCG@10 over all its judged queries.

    Columns: collection, split, queries, ours, published, difference, differs (bool: by more
    than ``TOLERANCE``), note, source.

    Args:
        entries: ``(collection, split, folder of the collection, run, published)``.

    Raises:
        HeadRankError: nothing to compare, or a published value outside 0 to 1.
    """
    rows = []
    for collection, split, folder, run, published in entries:
        if not 0 <= published.value <= 1:
            raise HeadRankError(
                f"{collection}, split {split}: published {MEASURE} is {published.value}; allowed: "
                "0 to 1 (divide a percentage by 100)"
            )
        qrels = load_qrels(folder).only(load_queries(folder, split))
        values = evaluate(Run.load(run), qrels, [MEASURE])["value"]
        ours = float(values.mean())
        rows.append(
            {
                "collection": collection,
                "split": split,
                "queries": len(values),
                "ours": ours,
                "published": published.value,
                "difference": ours - published.value,
                "differs": abs(ours - published.value) > TOLERANCE,
                "note": published.note,
                "source": published.source,
            }
        )
    if not rows:
        raise HeadRankError(
            "no collection of the experiment declares a published first stage; set "
            "collections.NAME.published"
        )
    return pd.DataFrame(rows)


def declared(entry: Mapping) -> Published:
    """Return one entry of ``collections.NAME.published``."""
    return Published(entry["value"], entry["source"], entry.get("note") or "")
