"""Tables of comparisons, and how every table prints a test beside an interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from headrank.evaluation.significance import EXACT_QUERIES, disagree
from headrank.report import names as labels
from headrank.report.tables.cells import FREE
from headrank.report.tables.table import Cell, Column, Row, Table

DISAGREE = "*"
FEW = 20
"""Queries below which a set's numbers are called a try-out."""

P = Column("p", "p", digits=4, probability=True)
"""The column of a permutation test's p, uncorrected, beside an interval."""


def tested(p: float | None, interval: tuple[float, float] | None, confidence: float) -> Cell:
    """Return the cell of a p-value, marked where the interval beside it says something else."""
    if p is None or math.isnan(p) or interval is None:
        return Cell()
    return Cell(float(p), mark=DISAGREE if disagree(*interval, p, confidence) else "")


def notes_of(rows: Sequence[Row], confidence: float) -> tuple[str, ...]:
    """Return the note that says where interval and test disagree; none if no cell is marked."""
    marked = sum(any(cell.mark == DISAGREE for cell in row.cells) for row in rows)
    if not marked:
        return ()
    return (
        f"{DISAGREE} Interval and test disagree in {marked} of {len(rows)} rows: 0 lies outside of "
        f"the interval and p is {1 - confidence:.2g} or more, or the other way round. With few "
        "queries a bootstrap interval is often too narrow; believe p.",
    )


def mark(table: Table, difference: str, p: str, confidence: float) -> Table:
    """Return the table with each p marked that disagrees with its interval, and a note on it.

    Args:
        difference, p: keys of the columns.
    """
    places = [column.key for column in table.columns]
    at, beside = places.index(p), places.index(difference)
    rows = []
    for row in table.rows:
        cells = list(row.cells)
        cells[at] = replace(
            cells[at], mark=tested(cells[at].value, cells[beside].interval, confidence).mark
        )
        rows.append(replace(row, cells=tuple(cells)))
    return replace(table, rows=tuple(rows), notes=(*table.notes, *notes_of(rows, confidence)))


def significance_table(
    comparisons: pd.DataFrame,
    *,
    confidence: float = 0.95,
    names: Mapping[str, str] | None = None,
) -> Table:
    """Return the declared comparisons: difference, interval and tests, set by set.

    Args:
        comparisons: of :func:`headrank.evaluation.comparisons.compare_family`.
        confidence: of the intervals.
        names: printed names of methods, sets, orders and models.
    """
    known = dict(names or {})
    columns = (
        Column("system", "Method"),
        Column("baseline", "Against"),
        Column("n", "n", digits=0),
        Column("mean_difference", "Difference", digits=3, signed=True),
        P,
        Column("p_holm", "p (Holm)", digits=4, probability=True),
        Column("p_t", "p (t)", digits=4, probability=True),
    )
    models = [model for model in comparisons["model"].unique() if model != FREE]
    rows = []
    for row in comparisons.to_dict("records"):
        interval = (row["low"], row["high"])
        cells = (
            Cell(labels.label(row["system"], known)),
            Cell(labels.label(row["baseline"], known)),
            Cell(int(row["n"])),
            Cell(float(row["mean_difference"]), interval=interval),
            tested(row["p"], interval, confidence),
            Cell(float(row["p_holm"])),
            Cell(float(row["p_t"])),
        )
        parts = [row["set"], row["order"], *([row["model"]] if len(models) > 1 else [])]
        section = ", ".join(known.get(part, part) for part in parts)
        rows.append(Row(cells, section=section))
    return Table(
        f"Comparisons, {', '.join(comparisons['measure'].unique())}",
        columns,
        tuple(rows),
        (*_notes(comparisons, confidence, known), *notes_of(rows, confidence)),
    )


def few_note(queries: Mapping[str, int], names: Mapping[str, str]) -> list[str]:
    """Return a warning where sets have so few queries that their numbers are a try-out.

    Args:
        queries: how many each set has.
    """
    few = [f"{names.get(name, name)} n = {n}" for name, n in queries.items() if n < FEW]
    if not few:
        return []
    return [
        f"Few queries: {'; '.join(few)}. Below {FEW} queries a mean depends on single "
        "queries; read it as a try-out, not as a result."
    ]


def power_notes(comparisons: pd.DataFrame, alpha: float, names: Mapping[str, str]) -> list[str]:
    """Return a note on the sets whose few queries let no test of a family become significant.

    Of n differences a two-sided permutation test gives no p below 2^(1 - n). All r rows of n
    queries or fewer are at or above it, and Holm's correction multiplies the least of them by r
    at least.

    Args:
        comparisons: a whole family, with columns set and n.
        alpha: level after the correction.
    """
    told = []
    for name, n in comparisons.groupby("set", sort=False)["n"].min().items():
        rows = int((comparisons["n"] <= n).sum())
        least = 2.0 ** (1 - int(n))
        if rows * least >= alpha:
            corrected = f", {min(1.0, rows * least):.4g} after the correction" if rows > 1 else ""
            told.append(f"{names.get(name, name)} (n = {n}): {least:.4g}{corrected}")
    if not told:
        return []
    return [
        f"The least p that a permutation test can give: {'; '.join(told)}. No difference between "
        "methods can be significant there."
    ]


def _notes(comparisons: pd.DataFrame, confidence: float, names: Mapping[str, str]) -> list[str]:
    """Return what the columns mean, and the least p that few queries allow."""
    notes = [
        f"Difference: mean over n queries, with its {confidence:.0%} BCa interval. p: two-sided, "
        "of a paired permutation test. p (Holm): the same after Holm's correction over all "
        f"{len(comparisons)} rows; claims rest on it.",
        "p (t): of Student's paired t-test, uncorrected, for readers who compare with papers that "
        "print it. It assumes normal differences, which few queries do not show; nothing here is "
        "decided by it.",
    ]
    if len(comparisons) and not (comparisons["p_holm"] < 1 - confidence).any():
        notes.append(
            f"No difference is significant: every p (Holm) is {1 - confidence:.2g} or more."
        )
    sets = comparisons.groupby("set", sort=False)["n"].max()
    return [*notes, *few_note(sets, names), *power_notes(comparisons, 1 - confidence, names)]


def tabulate_significance(comparisons: str, *, resamples: int, **options: Any) -> Table:
    """Return the table of a file of comparisons; see ``significance_table``."""
    table = significance_table(pd.read_csv(comparisons), **options)
    told = f"Permutation tests of more than {EXACT_QUERIES} differences: {resamples:,} resamples."
    return replace(table, notes=(*table.notes, told))
