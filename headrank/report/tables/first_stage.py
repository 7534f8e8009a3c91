"""The table of first stages beside published ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from headrank.evaluation.published_first_stage import (
    MEASURE,
    TOLERANCE,
    compare_first_stages,
    declared,
)
from headrank.io.files import folder_of
from headrank.report.tables.table import Column, Table, from_frame

logger = logging.getLogger(__name__)

_COLUMNS = [
    Column("collection", "Collection"),
    Column("split", "Split"),
    Column("queries", "n", digits=0),
    Column("ours", "Ours", digits=4),
    Column("published", "Published", digits=4),
    Column("difference", "Difference", digits=4, signed=True),
    Column("flag", "Flag"),
]


def first_stage_table(compared: pd.DataFrame) -> Table:
    """Return the table of `headrank.evaluation.published_first_stage.compare_first_stages`;
    sources stand in notes.
    """
    frame = compared.assign(flag=compared["differs"].map({True: "differs", False: ""}))
    notes = [
        f"{MEASURE} over all judged queries of a split. Flagged: a difference above {TOLERANCE}.",
        *(
            f"{row.collection}, {row.split}: {row.note}"
            for row in compared.itertuples()
            if row.note
        ),
        *(f"Published: {source}" for source in dict.fromkeys(compared["source"])),
    ]
    return from_frame("First stage against published", frame, _COLUMNS, notes=notes, tidy=compared)


def tabulate_first_stage(
    runs: Sequence[str], qrels: Sequence[str], *, published: Sequence[Mapping]
) -> Table:
    """Return the table of first stages beside published values.

    A difference is logged, not refused.

    Args:
        runs: ``.../COLLECTION/SPLIT.run``.
        qrels: each run's collection: its folder or a file in it.
    """
    entries = [
        (folder_of(path).name, Path(run).stem, str(folder_of(path)), run, declared(entry))
        for run, path, entry in zip(runs, qrels, published, strict=True)
    ]
    compared = compare_first_stages(entries)
    for row in compared[compared["differs"]].itertuples():
        where = f"{row.collection}, {row.split}"
        logger.warning("%s: nDCG@10 is %.4f, published %.4f", where, row.ours, row.published)
    return first_stage_table(compared)
