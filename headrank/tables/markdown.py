"""Tables as GitHub Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrank.tables.table import Cell, Table

# GitHub sets what stands between dollars as mathematics. An ampersand matters only where an
# entity follows it: "&lt;" would be shown as "<".
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#$]|&(?=#?\w+;))")
# What opens a list, a rule or a heading if a paragraph begins with it.
_OPENING = re.compile(r"^(\d*)([-+=.)])(?=[\s=-]|$)")
_EMPHASIS = {"best": "**{}**", "block": "<u>{}</u>", "": "{}"}


def escape(text: str) -> str:
    """Return text in which no character has a meaning in Markdown or ends a table's cell."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def render(table: Table) -> str:
    """Return title, table and notes, in GitHub's dialect.

    Markdown has one header row and no spanning cells: spans stand above the column's title
    in the same cell, and a section is a row with a bold first cell.
    """
    heads = [
        "<br>".join(escape(part) for part in (column.span, column.title) if part)
        for column in table.columns
    ]
    lines = [f"**{escape(table.title)}**", "", _line(heads)]
    lines.append(_line([":---" if column.is_text else "---:" for column in table.columns]))
    section = ""
    for row, texts in zip(table.rows, table.texts(), strict=True):
        if row.section != section:
            section = row.section
            lines.append(_line([f"**{escape(section)}**"] + [""] * (len(table.columns) - 1)))
        lines.append(
            _line([_cell(cell, text) for cell, text in zip(row.cells, texts, strict=True)])
        )
    for note in table.notes:
        lines += ["", _OPENING.sub(r"\1\\\2", escape(note))]
    return "\n".join(lines) + "\n"


def _cell(cell: Cell, text: str) -> str:
    return _EMPHASIS[cell.emphasis].format(escape(text)) + escape(cell.mark)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
