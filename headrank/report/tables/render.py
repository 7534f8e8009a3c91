"""Tables as LaTeX, with the rules of booktabs, as GitHub Markdown, and as a page of HTML."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrank.report.tables.table import Cell, Table


_LATEX_ESCAPES = {
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
_LATEX = re.compile("|".join(map(re.escape, _LATEX_ESCAPES)))
_LATEX_EMPHASIS = {"best": r"\textbf{{{}}}", "block": r"\underline{{{}}}", "": "{}"}


def escape_latex(text: str) -> str:
    """Return text in which every character prints as itself."""
    return _LATEX.sub(lambda found: _LATEX_ESCAPES[found[0]], " ".join(text.split()))


def to_latex(table: Table) -> str:
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
        *_latex_spans(table),
        _latex_line(escape_latex(column.title) for column in columns),
        r"\midrule",
    ]
    section = ""
    for place, (row, texts) in enumerate(zip(table.rows, table.texts(), strict=True)):
        if row.section != section:
            section = row.section
            lines += [r"\addlinespace"] if place else []
            lines.append(
                rf"\multicolumn{{{len(columns)}}}{{l}}{{\emph{{{escape_latex(section)}}}}} \\"
            )
        lines.append(
            _latex_line(
                _latex_cell(cell, text) for cell, text in zip(row.cells, texts, strict=True)
            )
        )
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        notes = r"\\".join(escape_latex(note) for note in table.notes)
        lines.append(rf"\par\smallskip{{\footnotesize\raggedright {notes}\par}}")
    return "\n".join(lines) + "\n"


def _latex_spans(table: Table) -> list[str]:
    """Return the row of spanning headers and the rules below them; nothing without spans."""
    if not any(column.span for column in table.columns):
        return []
    cells, rules, place = [], [], 1
    for span, members in itertools.groupby(table.columns, key=lambda column: column.span):
        width = len(list(members))
        if span:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(span)}}}")
            rules.append(rf"\cmidrule(lr){{{place}-{place + width - 1}}}")
        else:
            cells.extend([""] * width)
        place += width
    return [_latex_line(cells), " ".join(rules)]


def _latex_cell(cell: Cell, text: str) -> str:
    shown = _LATEX_EMPHASIS[cell.emphasis].format(escape_latex(text))
    return shown + (rf"\rlap{{\textsuperscript{{{escape_latex(cell.mark)}}}}}" if cell.mark else "")


def _latex_line(cells) -> str:
    return " & ".join(cells) + r" \\"


# GitHub sets what stands between dollars as mathematics. An ampersand matters only where an
# entity follows it: "&lt;" would be shown as "<".
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~#$]|&(?=#?\w+;))")
# What opens a list, a rule or a heading if a paragraph begins with it.
_OPENING = re.compile(r"^(\d*)([-+=.)])(?=[\s=-]|$)")
_MARKDOWN_EMPHASIS = {"best": "**{}**", "block": "<u>{}</u>", "": "{}"}


def escape_markdown(text: str) -> str:
    """Return text in which no character has a meaning in Markdown or ends a table's cell."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def to_markdown(table: Table) -> str:
    """Return title, table and notes, in GitHub's dialect.

    Markdown has one header row and no spanning cells: spans stand above the column's title
    in the same cell, and a section is a row with a bold first cell.
    """
    heads = [
        "<br>".join(escape_markdown(part) for part in (column.span, column.title) if part)
        for column in table.columns
    ]
    lines = [f"**{escape_markdown(table.title)}**", "", _markdown_line(heads)]
    lines.append(_markdown_line([":---" if column.is_text else "---:" for column in table.columns]))
    section = ""
    for row, texts in zip(table.rows, table.texts(), strict=True):
        if row.section != section:
            section = row.section
            lines.append(
                _markdown_line(
                    [f"**{escape_markdown(section)}**"] + [""] * (len(table.columns) - 1)
                )
            )
        lines.append(
            _markdown_line(
                [_markdown_cell(cell, text) for cell, text in zip(row.cells, texts, strict=True)]
            )
        )
    for note in table.notes:
        lines += ["", _OPENING.sub(r"\1\\\2", escape_markdown(note))]
    return "\n".join(lines) + "\n"


def _markdown_cell(cell: Cell, text: str) -> str:
    return _MARKDOWN_EMPHASIS[cell.emphasis].format(escape_markdown(text)) + escape_markdown(
        cell.mark
    )


def _markdown_line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


_HTML_EMPHASIS = {"best": "<b>{}</b>", "block": "<u>{}</u>", "": "{}"}
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.2em; color: #222; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding-bottom: .5em; }
table + table, p + table { margin-top: 1.6em; }
th, td { padding: .18em .7em; text-align: right; vertical-align: top; }
td { white-space: nowrap; }
th.text, td.text { text-align: left; white-space: normal; }
thead th { border-bottom: 1px solid #222; vertical-align: bottom; }
thead tr.span th { border-bottom: 0; text-align: center; }
tr.section td { text-align: left; font-weight: bold; padding-top: .6em; }
tbody { border-bottom: 1px solid #222; }
p.note { max-width: 60em; color: #555; font-size: 13px; margin: .5em 0; }
"""


def to_html(table: Table) -> str:
    """Return a page of title, table and notes, as Markdown shows them, for the report."""
    return to_page(table.title, [table])


def to_page(title: str, tables: Sequence[Table], lead: str = "") -> str:
    """Return a page of tables below one another, a sentence above them."""
    told = f"<p>{html.escape(lead)}</p>\n" if lead else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{told}{''.join(map(to_fragment, tables))}</body></html>\n"
    )


def to_fragment(table: Table) -> str:
    """Return the table and its notes as HTML to stand in a page."""
    kinds = [' class="text"' if column.is_text else "" for column in table.columns]
    lines = [f"<table>\n<caption>{html.escape(table.title)}</caption>\n<thead>"]
    if any(column.span for column in table.columns):
        spans = itertools.groupby(table.columns, key=lambda column: column.span)
        cells = "".join(
            f'<th colspan="{len(list(members))}">{html.escape(span)}</th>'
            for span, members in spans
        )
        lines.append(f'<tr class="span">{cells}</tr>')
    titles = zip(table.columns, kinds, strict=True)
    heads = "".join(f"<th{kind}>{html.escape(column.title)}</th>" for column, kind in titles)
    lines.append(f"<tr>{heads}</tr>\n</thead>\n<tbody>")
    section = ""
    for row, texts in zip(table.rows, table.texts(), strict=True):
        if row.section != section:
            section = row.section
            told = html.escape(section)
            lines.append(f'<tr class="section"><td colspan="{len(kinds)}">{told}</td></tr>')
        cells = "".join(
            f"<td{kind}>{_html_cell(cell, text)}</td>"
            for cell, text, kind in zip(row.cells, texts, kinds, strict=True)
        )
        lines.append(f"<tr>{cells}</tr>")
    lines.append("</tbody>\n</table>")
    lines += [f'<p class="note">{html.escape(note)}</p>' for note in table.notes]
    return "\n".join(lines) + "\n"


def _html_cell(cell: Cell, text: str) -> str:
    mark = f"<sup>{html.escape(cell.mark)}</sup>" if cell.mark else ""
    return _HTML_EMPHASIS[cell.emphasis].format(html.escape(text)) + mark
