"""The table of first stages beside published ones."""

from __future__ import annotations

import pandas as pd

from headrank.published import MEASURE, TOLERANCE
from headrank.tables.table import Column, Table, from_frame

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
    """Return the table of `headrank.published.compare_first_stages`; sources stand in notes."""
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
