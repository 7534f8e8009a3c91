"""Tables of rows: CSV, TSV and Parquet, by their file's name."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from headrank.errors import HeadRankError
from headrank.io.extras import missing
from headrank.io.texts import local_path, read_text

_KIND = re.compile(r"\.(csv|tsv|parquet)(\.gz)?$", re.I)

# A cell that CSV would quote so. One without a mark inside may be a text in quotation marks.
_QUOTED = re.compile(r'"(?=[^"]*+"")(?:[^"]|"")++"')


def table_kind(path: str | os.PathLike) -> str | None:
    """Return ``csv``, ``tsv`` or ``parquet`` by a file's name; None for any other."""
    found = _KIND.search(os.fspath(path))
    return found[1].lower() if found else None


def read_table(path: str | os.PathLike) -> Iterator[tuple[str, dict]]:
    """Yield ``(where, {column: value})`` for each row; ``where`` is the file and line or row.

    CSV and TSV may be packed by gzip; their first line names the columns. Cells of TSV are taken
    as they are: a quotation mark is a character. Cells that are empty are left out.

    Raises:
        HeadRankError: as ``read_text``, a row with more or fewer cells than columns, a column
            without a name or named twice, a cell of TSV that is quoted as in CSV, or Parquet that
            cannot be read.
    """
    if table_kind(path) == "parquet":
        yield from _parquet(path)
        return
    text = io.StringIO(read_text(path), newline="")
    if table_kind(path) == "tsv":
        reader = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(text, strict=True)
    csv.field_size_limit(2**31 - 1)  # Python's own limit is 131,072 characters a cell
    columns, line = None, 1
    try:
        for row in reader:
            where, line = f"{path}:{line}", reader.line_num + 1
            if not row:
                continue
            if columns is None:
                columns = _checked(row, where)
                continue
            if len(row) != len(columns):
                raise HeadRankError(
                    f"{where}: {len(row)} cells, but the first line names {len(columns)} columns; "
                    "put texts with the separator or line breaks between quotation marks"
                    + ("" if table_kind(path) == "csv" else " and write CSV")
                )
            if table_kind(path) == "tsv" and any(map(_QUOTED.fullmatch, row)):
                raise HeadRankError(
                    f"{where}: a cell stands between quotation marks, with those inside doubled, "
                    "as in CSV; cells of TSV are taken as they are: write CSV, or do not quote"
                )
            yield where, {name: cell for name, cell in zip(columns, row, strict=True) if cell}
    except csv.Error as error:
        raise HeadRankError(f"{path}:{reader.line_num}: not CSV ({error}); repair it") from None


def _checked(columns: list[str], where: str) -> list[str]:
    """Return the names of the columns."""
    for name in columns:
        if not name.strip() or columns.count(name) > 1:
            raise HeadRankError(
                f"{where}: column {name!r} has no name or stands twice; the first line names the "
                "columns, each once"
            )
    return columns


def _parquet(path: str | os.PathLike) -> Iterator[tuple[str, dict]]:
    """Yield the rows of a Parquet file."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise missing("parquet", f"{path}: reading Parquet", "pyarrow") from None
    if not Path(local_path(path)).is_file():
        raise HeadRankError(f"{path}: no such file, so it cannot be read")
    try:
        rows = parquet.read_table(local_path(path)).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise HeadRankError(f"{path}: cannot be read as Parquet ({reason})") from None
    for number, row in enumerate(rows, start=1):
        # NaN is how other programs write a number that is missing.
        cells = {k: v for k, v in row.items() if v is not None and v == v}
        yield f"{path}: row {number}", cells
