"""Tables in Markdown and LaTeX: laid out, every name and note escaped."""

import re

import pytest

from headrank.errors import HeadRankError
from headrank.report.tables.render import escape_latex, escape_markdown
from headrank.report.tables.table import Cell, Column, Row, Table


def awkward():
    columns = [
        Column("name", "A|B_1"),
        Column("x", "x", "50% & more", 3, signed=True, better="high"),
        Column("y", "y", "50% & more", 2),
    ]
    rows = [
        Row((Cell("a_b|c"), Cell(-0.0004, mark="†"), Cell(0.5, error=0.012)), "S#1"),
        Row((Cell(r"\x{y}~^$"), Cell(0.25, emphasis="best"), Cell()), "S#1"),
        Row((Cell("z"), Cell(-0.25, interval=(-0.5, 0.0)), Cell(float("nan"))), "T"),
    ]
    return Table("The title_1", tuple(columns), tuple(rows), ("† p < 5%.",))


def test_markdown_is_escaped_and_laid_out():
    assert awkward().markdown() == (
        "**The title\\_1**\n"
        "\n"
        "| A\\|B\\_1 | 50% & more<br>x | 50% & more<br>y |\n"
        "| :--- | ---: | ---: |\n"
        "| **S\\#1** |  |  |\n"
        "| a\\_b\\|c | 0.000† | 0.50 ± 0.01 |\n"
        "| \\\\x\\{y\\}\\~^\\$ | **+0.250** | – |\n"
        "| **T** |  |  |\n"
        "| z | −0.250 \\[−0.500, 0.000\\] | – |\n"
        "\n"
        "† p \\< 5%.\n"
    )


def test_latex_is_escaped_and_laid_out():
    assert awkward().latex() == (
        "% The title_1\n"
        "% needs \\usepackage{booktabs}\n"
        "\\begin{tabular}{lrr}\n"
        "\\toprule\n"
        " & \\multicolumn{2}{c}{50\\% \\& more} \\\\\n"
        "\\cmidrule(lr){2-3}\n"
        "A\\textbar{}B\\_1 & x & y \\\\\n"
        "\\midrule\n"
        "\\multicolumn{3}{l}{\\emph{S\\#1}} \\\\\n"
        "a\\_b\\textbar{}c & 0.000\\rlap{\\textsuperscript{$\\dagger$}} & 0.50 $\\pm$ 0.01 \\\\\n"
        "\\textbackslash{}x\\{y\\}\\textasciitilde{}\\textasciicircum{}\\$ & \\textbf{+0.250} & -- "
        "\\\\\n"
        "\\addlinespace\n"
        "\\multicolumn{3}{l}{\\emph{T}} \\\\\n"
        "z & $-$0.250 {[}$-$0.500, 0.000] & -- \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
        "\\par\\smallskip{\\footnotesize\\raggedright $\\dagger$ p \\textless{} 5\\%.\\par}\n"
    )


def test_escapes_keep_plain_text():
    assert escape_latex("nDCG@10, p = .05") == escape_markdown("nDCG@10, p = .05")
    assert escape_markdown("two\nlines") == escape_latex("two\nlines") == "two lines"


@pytest.mark.parametrize("name", ["[5cm]", "*[5cm]", "*"])
def test_latex_reads_no_name_as_the_argument_of_a_line_break(name):
    rows = tuple(Row((Cell(text),)) for text in ("plain", name))
    text = Table("t", (Column("a", "a"),), rows, ("a note", name)).latex()
    assert not re.search(r"\\\\\s*[*\[]", text)
    assert text.count(name.replace("[", "{[}").replace("*", "{*}")) == 2


@pytest.mark.parametrize(
    "text, escaped",
    [
        ("costs $5 or $6", r"costs \$5 or \$6"),
        ("&lt;b&gt; &#36; &amp", r"\&lt;b\&gt; \&\#36; &amp"),
        ("R&D & more", "R&D & more"),
    ],
)
def test_markdown_shows_dollars_and_entities_as_they_are(text, escaped):
    assert escape_markdown(text) == escaped


@pytest.mark.parametrize(
    "note, shown",
    [
        ("- one", r"\- one"),
        ("+ one", r"\+ one"),
        ("12. one", r"12\. one"),
        ("1) one", r"1\) one"),
        ("---", r"\---"),
        ("+.05 is a gain", "+.05 is a gain"),
        ("1.5 hours", "1.5 hours"),
    ],
)
def test_a_note_in_markdown_is_a_paragraph(note, shown):
    table = Table("t", (Column("a", "a"),), (Row((Cell(1),)),), (note,))
    assert table.markdown().endswith(f"\n\n{shown}\n")


def test_a_row_must_fit_the_columns():
    with pytest.raises(HeadRankError, match="a row of 1 cells for 2 columns"):
        Table("t", (Column("a", "a"), Column("b", "b")), (Row((Cell(1),)),))
