"""Tables as LaTeX, with the rules of booktabs."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrank.tables.table import Cell, Table

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After the end of a row they would be read as the arguments of its line break.
    "[": "{[}",
    "*": "{*}",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "×": r"$\times$",
    "λ": r"$\lambda$",
}
_SPECIAL = re.compile("|".join(map(re.escape, _ESCAPES)))
_EMPHASIS = {"best": r"\textbf{{{}}}", "block": r"\underline{{{}}}", "": "{}"}


def escape(text: str) -> str:
    """Return text in which every character prints as itself."""
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], " ".join(text.split()))


def render(table: Table) -> str:
    r"""Return a ``tabular`` and its notes, to be put in a ``table`` with ``\input``.

    Marks take no width (``\rlap``), so digits stay under one another.
    """
    columns = table.columns
    layout = "".join("l" if column.is_text else "r" for column in columns)
    lines = [
        f"% {' '.join(table.title.split())}",
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        *_spans(table),
        _line(escape(column.title) for column in columns),
        r"\midrule",
    ]
    section = ""
    for place, (row, texts) in enumerate(zip(table.rows, table.texts(), strict=True)):
        if row.section != section:
            section = row.section
            lines += [r"\addlinespace"] if place else []
            lines.append(rf"\multicolumn{{{len(columns)}}}{{l}}{{\emph{{{escape(section)}}}}} \\")
        lines.append(_line(_cell(cell, text) for cell, text in zip(row.cells, texts, strict=True)))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        notes = r"\\".join(escape(note) for note in table.notes)
        lines.append(rf"\par\smallskip{{\footnotesize\raggedright {notes}\par}}")
    return "\n".join(lines) + "\n"


def _spans(table: Table) -> list[str]:
    """Return the row of spanning headers and the rules below them; nothing without spans."""
    if not any(column.span for column in table.columns):
        return []
    cells, rules, place = [], [], 1
    for span, members in itertools.groupby(table.columns, key=lambda column: column.span):
        width = len(list(members))
        if span:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(span)}}}")
            rules.append(rf"\cmidrule(lr){{{place}-{place + width - 1}}}")
        else:
            cells.extend([""] * width)
        place += width
    return [_line(cells), " ".join(rules)]


def _cell(cell: Cell, text: str) -> str:
    shown = _EMPHASIS[cell.emphasis].format(escape(text))
    return shown + (rf"\rlap{{\textsuperscript{{{escape(cell.mark)}}}}}" if cell.mark else "")


def _line(cells) -> str:
    return " & ".join(cells) + r" \\"
