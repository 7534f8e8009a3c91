"""A table of results: cells with their marks, as CSV, GitHub Markdown, LaTeX and HTML."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from headrank.errors import HeadRankError
from headrank.io.files import atomic, write_text
from headrank.report.tables.render import to_html, to_latex, to_markdown

MISSING = "–"  # an en dash: no such number


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: its name in the CSV.
        title: its name in print.
        span: header over neighbouring columns that share it; empty for none.
        digits: decimals of a number; None prints the value as it is.
        signed: print the plus of a positive number (differences).
        better: whether high or low numbers are good: ``high`` | ``low`` | ``""`` (neither).
        probability: of a p-value that the decimals would print as zero, print that it is less.
        error, interval: the columns of a frame that hold a number's standard deviation, and its
            interval's low and high end.
    """

    key: str
    title: str
    span: str = ""
    digits: int | None = None
    signed: bool = False
    better: str = ""
    probability: bool = False
    error: str = ""
    interval: tuple[str, str] | tuple[()] = ()

    @property
    def is_text(self) -> bool:
        """Return whether the column is set flush left."""
        return self.digits is None and not self.better


@dataclass(frozen=True)
class Cell:
    """One value and what is printed about it.

    Attributes:
        value: number or text; None prints a dash.
        error: printed behind a plus-minus sign (a standard deviation).
        interval: (low, high), printed in brackets.
        mark: superscript, explained in the table's notes.
        emphasis: ``best`` (bold), ``block`` (underlined: best of its block) or ``""``.
    """

    value: float | int | str | None = None
    error: float | None = None
    interval: tuple[float, float] | None = None
    mark: str = ""
    emphasis: str = ""


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        cells: one a column.
        section: printed once above the rows that share it; empty for none.
        block: rows among which an underlined best is sought; empty for none.
        ranked: False keeps a control out of the search for the best.
    """

    cells: tuple[Cell, ...]
    section: str = ""
    block: str = ""
    ranked: bool = True


@dataclass(frozen=True)
class Table:
    """Columns, rows and the notes that say what the numbers and marks mean.

    ``tidy`` holds the same numbers one a row, with what does not fit in print; None if the
    wide form says it all.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    tidy: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise HeadRankError(
                    f"table {self.title!r}: a row of {len(row.cells)} cells for "
                    f"{len(self.columns)} columns"
                )

    def frame(self) -> pd.DataFrame:
        """Return the numbers as printed rows and columns, unrounded.

        A cell's error and interval follow in columns ``KEY_sd``, ``KEY_low``, ``KEY_high``.
        """
        data: dict[str, list] = {}
        if any(row.section for row in self.rows):
            data["section"] = [row.section for row in self.rows]
        for number, column in enumerate(self.columns):
            cells = [row.cells[number] for row in self.rows]
            data[column.key] = [cell.value for cell in cells]
            if any(cell.error is not None for cell in cells):
                data[f"{column.key}_sd"] = [cell.error for cell in cells]
            if any(cell.interval is not None for cell in cells):
                bounds = [cell.interval or (math.nan, math.nan) for cell in cells]
                data[f"{column.key}_low"] = [low for low, _ in bounds]
                data[f"{column.key}_high"] = [high for _, high in bounds]
        return pd.DataFrame(data)

    def texts(self) -> list[list[str]]:
        """Return ``[rows][columns]`` plain texts, without marks and emphasis."""
        return [
            [text(cell, column) for cell, column in zip(row.cells, self.columns, strict=True)]
            for row in self.rows
        ]

    def markdown(self) -> str:
        """Return the table as GitHub Markdown."""
        return to_markdown(self)

    def latex(self) -> str:
        """Return the table as a LaTeX ``tabular`` for the booktabs package."""
        return to_latex(self)

    def save(self, stem: str | os.PathLike) -> list[Path]:
        """Write ``STEM.csv``, ``STEM.md``, ``STEM.tex`` and ``STEM.html``; return the paths.

        A table with tidy numbers has them in ``STEM.csv`` and the wide form in
        ``STEM-wide.csv``.
        """
        stem = Path(stem)
        frames = {f"{stem.name}.csv": self.frame()}
        if self.tidy is not None:
            frames = {f"{stem.name}.csv": self.tidy, f"{stem.name}-wide.csv": self.frame()}
        for name, frame in frames.items():
            with atomic(stem.with_name(name)) as temporary:
                frame.to_csv(temporary, index=False)
        write_text(stem.with_name(f"{stem.name}.md"), self.markdown())
        write_text(stem.with_name(f"{stem.name}.tex"), self.latex())
        write_text(stem.with_name(f"{stem.name}.html"), to_html(self))
        names = [*frames, *(f"{stem.name}.{end}" for end in ("md", "tex", "html"))]
        return [stem.with_name(name) for name in names]


def number(value: float, column: Column) -> str:
    """Return a number with the column's decimals; a minus is U+2212, a zero has no sign."""
    if isinstance(value, float) and not math.isfinite(value):
        return MISSING
    if column.digits is None:
        return str(value)
    rounded = round(float(value), column.digits) + 0.0  # -0.0 becomes 0.0
    if column.probability and rounded == 0:
        return f"<{10**-column.digits:.{column.digits}f}"
    shown = f"{rounded:+.{column.digits}f}" if column.signed and rounded else None
    return (shown or f"{rounded:.{column.digits}f}").replace("-", "−")


def probability(p: float, digits: int = 4) -> str:
    """Return a p-value with its sign, as running text prints it: ``p = 0.0615``."""
    shown = number(p, Column("p", "p", digits=digits, probability=True))
    return f"p < {shown[1:]}" if shown.startswith("<") else f"p = {shown}"


def text(cell: Cell, column: Column) -> str:
    """Return what a cell prints, without mark and emphasis."""
    if cell.value is None:
        return MISSING
    if isinstance(cell.value, str):
        return cell.value
    shown = number(cell.value, column)
    if shown == MISSING:
        return shown
    if cell.error is not None and math.isfinite(cell.error):
        shown += f" ± {number(cell.error, replace(column, signed=False))}"
    if cell.interval is not None and all(map(math.isfinite, cell.interval)):
        low, high = (number(bound, column) for bound in cell.interval)
        shown += f" [{low}, {high}]"
    return shown


def emphasise(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows with the best value of each column in bold, and of each block underlined.

    Values that print alike tie, and all of them are marked. Rows that are not ranked are
    passed over; a column whose ranked values are all alike has no best.
    """
    cells = [list(row.cells) for row in rows]
    blocks = {row.block for row in rows if row.block}
    for place, column in enumerate(columns):
        if not column.better:
            continue
        sign = 1.0 if column.better == "high" else -1.0
        values = np.array([sign * _rounded(row, place, column) for row in rows])
        for chosen in _best(values):
            cells[chosen][place] = replace(cells[chosen][place], emphasis="best")
        for block in blocks if len(blocks) > 1 else ():
            inside = np.where([row.block == block for row in rows], values, np.nan)
            for chosen in _best(inside):
                if not cells[chosen][place].emphasis:
                    cells[chosen][place] = replace(cells[chosen][place], emphasis="block")
    return tuple(replace(row, cells=tuple(new)) for row, new in zip(rows, cells, strict=True))


def _rounded(row: Row, place: int, column: Column) -> float:
    value = row.cells[place].value
    if not row.ranked or value is None or isinstance(value, str):
        return math.nan
    return float(value) if column.digits is None else round(float(value), column.digits)


def _best(values: np.ndarray) -> np.ndarray:
    """Return the places of the highest value; none if all that are known are alike."""
    if np.unique(values[np.isfinite(values)]).size < 2:
        return np.array([], dtype=int)
    return np.flatnonzero(values == np.nanmax(values))


def from_frame(
    title: str,
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    section: str | None = None,
    notes: Sequence[str] = (),
    tidy: pd.DataFrame | None = None,
) -> Table:
    """Return a table with one row for each row of a frame.

    Args:
        section: column of the frame that names the sections.
        tidy: see `Table`.

    Raises:
        HeadRankError: the frame lacks a column.
    """
    needed = [section] if section else []
    for column in columns:
        needed += [column.key, *column.interval, *([column.error] if column.error else [])]
    absent = [name for name in needed if name not in frame.columns]
    if absent:
        raise HeadRankError(f"table {title!r}: the data lacks columns {absent}")
    rows = []
    for record in frame.to_dict("records"):
        cells = []
        for column in columns:
            error = plain(record[column.error]) if column.error else None
            bounds = tuple(record[name] for name in column.interval) or None
            cells.append(Cell(plain(record[column.key]), error, bounds))
        rows.append(Row(tuple(cells), section=str(record[section]) if section else ""))
    return Table(title, tuple(columns), emphasise(columns, rows), tuple(notes), tidy)


def plain(value: object) -> float | int | str | None:
    """Return a value of a frame as Python's own type; NaN and None become None."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return None
    if isinstance(value, (np.integer, np.floating)):
        return value.item()
    return value
