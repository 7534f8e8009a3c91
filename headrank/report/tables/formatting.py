"""Whether generative methods answer in the form asked for, and how often a rule had to repair."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from headrank.baselines.generation.records import load_records
from headrank.errors import HeadRankError
from headrank.report import names as labels
from headrank.report.tables.table import Cell, Column, Row, Table

FAULTS = ("missing", "repeated", "out_of_range", "other_text", "cut")
"""Kinds of faults; an answer can have several. ``cut`` alone makes no answer malformed."""

_CELL = ["model", "set", "order", "method"]
_COUNTS = ["lists", "answers", "well_formed", "repaired", *FAULTS]
_COSTS = ["passes", "prompt_tokens", "new_tokens"]
_TITLES = {
    "missing": "Missing",
    "repeated": "Repeated",
    "out_of_range": "Out of range",
    "other_text": "Other text",
    "cut": "Cut off",
}


def formatting_counts(
    records: Iterable[tuple[Mapping[str, str], Sequence[Mapping]]],
) -> pd.DataFrame:
    """Return one row a model, set, order and method: lists, answers, and answers of each kind.

    Args:
        records: labels (model, set, order, method) with the records of
            :mod:`headrank.baselines.generation.records`; those with the same labels are joined.
    """
    rows = []
    for cell, lists in records:
        answers = [answer for found in lists for answer in found["answers"]]
        row = {name: cell[name] for name in _CELL} | {"lists": len(lists), "answers": len(answers)}
        for name in _COUNTS[2:]:
            row[name] = sum(bool(answer[name]) for answer in answers)
        for name in _COSTS:
            row[name] = sum(found[name] for found in lists)
        rows.append(row)
    if not rows:
        raise HeadRankError("there are no records of a generative method to count")
    return pd.DataFrame(rows).groupby(_CELL, sort=False).sum().reset_index()


def success_rates(counts: pd.DataFrame) -> dict[tuple[str, str], float | None]:
    """Return ``{(model, method): share of well-formed answers}``; None where none is written."""
    sums = counts.groupby(["model", "method"], sort=False)[["answers", "well_formed"]].sum()
    return {
        key: row.well_formed / row.answers if row.answers else None
        for key, row in zip(sums.index, sums.itertuples(index=False), strict=True)
    }


def formatting_table(
    counts: pd.DataFrame, *, sets: Sequence[str], names: Mapping[str, str] | None = None
) -> Table:
    """Return the table of one model: its generative methods set by set, prompt orders joined.

    Args:
        counts: of ``formatting_counts``.
        sets: in the order to show.
        names: printed names of methods and sets.

    Raises:
        HeadRankError: counts of several models.
    """
    models = list(counts["model"].unique())
    if len(models) != 1:
        raise HeadRankError(f"the table shows one model, the counts hold {models}")
    known = dict(names or {})
    columns = (
        Column("method", "Method"),
        Column("lists", "Lists", digits=0),
        Column("answers", "Answers", digits=0),
        Column("success", "Well-formed (%)", digits=1),
        *(Column(name, _TITLES[name], "answers with", digits=0) for name in FAULTS),
        Column("repaired", "Repaired", digits=0),
    )
    rows = []
    joined = counts.groupby(["set", "method"], sort=False)[_COUNTS].sum()
    for name in sets:
        for method in counts.loc[counts["set"] == name, "method"].unique():
            row = joined.loc[(name, method)]
            written = int(row["answers"])
            share = 100 * row["well_formed"] / written if written else math.nan
            values = [int(row[part]) if written else None for part in (*FAULTS, "repaired")]
            cells = [
                Cell(labels.label(method, known)),
                Cell(int(row["lists"])),
                Cell(written),
                Cell(float(share)),
                *map(Cell, values),
            ]
            rows.append(Row(tuple(cells), section=known.get(name, name)))
    notes = (
        "Lists: a query in one prompt order. An answer is well formed if it names every passage "
        "of its window once and holds nothing but numbers and punctuation; a pointwise one if "
        "its likeliest next token is yes or no.",
        "Repaired: numbers in the order of their first mention, those of no passage skipped, "
        "passages that are missing in their old order behind. Pointwise and query likelihood "
        "rank by probabilities, so nothing is repaired.",
        "Methods that read attention write no answer and parse none: their formatting success "
        "is 100 % by construction.",
    )
    return Table("Form of the generated answers", columns, tuple(rows), notes, counts)


def tabulate_formatting(
    records: Sequence[str],
    *,
    cells: Sequence[tuple[str, str, str]],
    model: str,
    sets: Sequence[str],
    names: Mapping[str, str],
) -> Table:
    """Return the table of the form of a model's answers.

    Args:
        cells: set, order and method of each file of records.
    """
    keys = ("set", "order", "method")
    counts = formatting_counts(
        ({"model": model} | dict(zip(keys, cell, strict=True)), load_records(path)[1])
        for path, cell in zip(records, cells, strict=True)
    )
    return formatting_table(counts, sets=sets, names=names)
