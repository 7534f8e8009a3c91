"""The ledger of claims in print: what was judged, and what stands beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from headrank.report.claims.ledger import ANALOGUE, NOT_REPRODUCED, NOT_RUN, REPRODUCED
from headrank.report.claims.others import COLUMNS, OTHERS
from headrank.report.tables.table import Cell, Column, Row, Table

TITLE = "Claims of arXiv 2604.17237"


def summary(ledger: pd.DataFrame) -> str:
    """Return one sentence: how many claims a run judges, how they end, and what the rest lack.

    A claim that is made at three scales counts three times, as in the ledger.
    """
    known = ledger[ledger["status"] != ANALOGUE]
    ends = known["status"].value_counts()
    count = len(known) - ends.get(NOT_RUN, 0)
    told = f"This run judges {count} of {len(known)} claims"
    if count:
        told += f" ({ends.get(REPRODUCED, 0)} {REPRODUCED}, {ends.get(NOT_REPRODUCED, 0)} not)"
    lacking = known.loc[known["status"] == NOT_RUN, "reason"].str.split("; ").explode()
    lacking = _joined(list(dict.fromkeys(reason for reason in lacking if reason)))
    if not lacking:
        return f"{told}."
    return f"{told}{', because' if not count else '; the others are not run:'} " + (
        "; ".join(lacking) + "."
    )


def _joined(reasons: list[str]) -> list[str]:
    """Return the reasons, those that differ in the absent model alone as one."""
    ends = " is none of the models"
    absent = [reason.removesuffix(ends) for reason in reasons if reason.endswith(ends)]
    if len(absent) < 2:
        return reasons
    others = [reason for reason in reasons if not reason.endswith(ends)]
    return [f"{', '.join(absent[:-1])} and {absent[-1]} are none of the models", *others]


def in_order(ledger: pd.DataFrame, judged: Table, beside: Table) -> list[Table]:
    """Return the tables that have rows, first the one that holds numbers of this run."""
    none = set(ledger["status"]) <= {ANALOGUE, NOT_RUN}
    return [table for table in ((beside, judged) if none else (judged, beside)) if table.rows]


def claims_tables(
    ledger: pd.DataFrame,
    *,
    order: str,
    confidence: float = 0.95,
    names: Mapping[str, str] | None = None,
) -> tuple[Table, Table]:
    """Return the claims as they were judged, and the analogous numbers of other models.

    Args:
        ledger: of :func:`headrank.report.claims.ledger.judge`, with ``command``.
        order: the prompt order that was judged.
        confidence: of the intervals.
        names: printed names of models and sets.
    """
    known = dict(names or {})
    judged = ledger["status"] != ANALOGUE
    columns = (
        Column("statement", "Claim"),
        Column("scale", "Qwen3"),
        Column("published", "Published"),
        Column("status", "This run"),
        Column("measured", "Measured, or what it lacks"),
        Column("interval", f"{confidence:.0%} interval"),
        Column("n", "n", digits=0),
    )
    rows = [
        Row(
            (
                *(Cell(row[key]) for key in ("statement", "scale", "published", "status")),
                Cell(_text(row)),
                *_numbers(row),
            )
        )
        for row in ledger[judged].to_dict("records")
    ]
    commands = " ".join(dict.fromkeys(ledger["command"]))
    notes = (
        "Published: as the abstracts (v1, v2) state it. Reproduced and not reproduced are said of "
        "the models, the 14 benchmarks (our inference: public material does not name them) and the "
        "40 candidates of the claim alone; all else is not run.",
        f"Prompt order: {known.get(order, order)}. Highest and ahead go by means; the interval is "
        "a bootstrap over queries within each set: of the difference, of the sets won. A rate of "
        "the middle zone is reproduced if the published number lies in its interval. n: queries, "
        "sets, documents, rankings or heads, as measured.",
        f"Made by: {commands}",
    )
    first = Table(TITLE, columns, tuple(rows), notes)
    columns = (Column("statement", "Claim"), *columns[4:])
    rows = [
        Row(
            (
                Cell(row["statement"]),
                Cell(_text(row)),
                *_numbers(row),
            ),
            section=f"{known.get(row['model'], row['model'])} on "
            + ", ".join(known.get(name, name) for name in row["sets"].split()),
        )
        # A model's claims stand together, in the order of the models.
        for _, own in ledger[~judged].groupby("model", sort=False)
        for row in own.to_dict("records")
    ]
    notes = ("The same measures on what this run has instead. They judge no claim.",)
    return first, Table("Analogous numbers of this run", columns, tuple(rows), notes)


def others_table() -> Table:
    """Return what others published, by source, each with its first stage and list length."""
    columns = (
        Column("model", "Model"),
        Column("method", "Method"),
        *(Column(key, name, digits=3) for key, name in COLUMNS.items()),
        Column("average", "Its average", digits=3),
    )
    rows = []
    for other in OTHERS:
        source = other.source
        section = (
            f"{source.title}: {source.first_stage} top {source.candidates}, "
            f"queries: {source.queries}; average over {source.average}"
        )
        cells = [Cell(value / 100) for value in (*other.percent, other.average)]
        rows.append(Row((Cell(other.model), Cell(other.method), *cells), section=section))
    note = (
        "Not measured here, and no cell compares with one of this run: first stage, k, queries and "
        "prompt differ. The paper's own tables are not in public material."
    )
    return Table("nDCG@10 that others published", columns, tuple(rows), (note,))


def _text(row: Mapping) -> str:
    """Return what was measured, and what that lacks to judge the claim."""
    return "; ".join(text for text in (row["measured"], row["reason"]) if text)


def _numbers(row: Mapping) -> tuple[Cell, Cell]:
    """Return interval and n as measured; dashes where nothing was."""
    if not row["n"]:
        return Cell(), Cell()
    if math.isnan(row["low"]):
        return Cell(), Cell(int(row["n"]))
    digits = {"nDCG@10": 3, "sets": 0}.get(row["unit"], 1)
    low, high = (f"{row[name]:.{digits}f}".replace("-", "−") for name in ("low", "high"))
    return Cell(f"[{low}, {high}]"), Cell(int(row["n"]))
