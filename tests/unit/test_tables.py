"""Tables: values by hand, marks in both directions, best without controls, escaping."""

import io
import re

import numpy as np
import pandas as pd
import pytest

from headrank import labels
from headrank.errors import HeadRankError
from headrank.heads import Head, HeadSet
from headrank.tables import (
    Cell,
    Column,
    Layout,
    Row,
    Table,
    ablation_table,
    average_seeds,
    cell_means,
    emphasise,
    formatting_counts,
    formatting_table,
    head_table,
    latex,
    main_table,
    markdown,
    measure_table,
    middle_table,
    order_table,
    pairs_table,
    seeds_table,
    success_rates,
)

KINDS = {"bm25": "first-stage", "minilm": "dense", "random": "random"}
VALUES = {  # (set, method, order): values of the queries
    ("a", "bm25", "-"): [0.2, 0.4],
    ("b", "bm25", "-"): [0.5, 0.5, 0.8],
    ("a", "random", "-"): [0.9, 1.0],
    ("b", "random", "-"): [0.1, 0.1, 0.1],
    ("a", "icr", "shuffled"): [0.1, 0.3],
    ("b", "icr", "shuffled"): [0.4, 0.4, 0.4],
    ("a", "icr", "reversed"): [0.3, 0.6],
    ("b", "icr", "reversed"): [0.5, 0.5, 0.5],
    ("a", "headrank", "shuffled"): [0.5, 0.7],
    ("b", "headrank", "shuffled"): [0.6, 0.9, 0.9],
    ("a", "headrank", "reversed"): [0.5, 0.6],
    ("b", "headrank", "reversed"): [0.6, 0.6, 0.6],
}
ADAPTERS = {"icr": "none", "headrank": "pairs-1"}


def per_query(model="m", measure="nDCG@10"):
    rows = []
    for (name, method, order), values in VALUES.items():
        free = order == "-"
        for number, value in enumerate(values):
            rows.append(
                {
                    "set": name,
                    "model": "-" if free else model,
                    "adapter": "-" if free else ADAPTERS[method],
                    "order": order,
                    "method": method,
                    "query": f"{name}{number}",
                    "measure": measure,
                    "value": value,
                }
            )
    return pd.DataFrame(rows)


def layout(**changes):
    usual = {
        "sets": ["a", "b"],
        "orders": ["shuffled", "reversed"],
        "methods": ["headrank", "icr", "bm25", "random"],
        "kinds": KINDS,
    }
    return Layout(**(usual | changes))


def significance(**changes):
    row = {
        "model": "m",
        "set": "a",
        "order": "shuffled",
        "measure": "nDCG@10",
        "system": "headrank",
        "baseline": "bm25",
        "n": 2,
        "mean_difference": 0.3,
        "p_holm": 0.01,
    }
    return row | changes


def test_main_table_shows_the_form_of_generated_answers():
    asked = per_query()
    asked.loc[asked["method"] == "icr", "method"] = "listwise"
    likely = asked[asked["method"] == "listwise"].assign(method="query-likelihood")
    methods = ["bm25", "listwise", "query-likelihood", "headrank", "random"]
    kinds = KINDS | {"listwise": "generative", "query-likelihood": "generative"}
    table = main_table(
        pd.concat([asked, likely]),
        None,
        layout(methods=methods, kinds=kinds, controls=["headrank"]),
        measure="nDCG@10",
        formatting={("m", "listwise"): 0.25, ("m", "query-likelihood"): None},
    )
    assert table.columns[-1].key == "well_formed"
    rows = by_label(table)
    assert rows["Listwise generation"].section == "Generative"
    # A control that reads attention writes no answer either.
    shown = {name: row.cells[-1].value for name, row in rows.items()}
    assert shown == {
        "BM25": None,
        "Listwise generation": 25.0,
        "Query likelihood": None,
        "HeadRank": 100.0,
        "Random": None,
    }
    assert "100 by construction" in table.notes[-1]
    assert not any(row.cells[-1].emphasis for row in table.rows)


def an_answer(**faults):
    usual = {"missing": 0, "repeated": 0, "out_of_range": 0, "other_text": False, "cut": False}
    made = usual | faults
    repaired = bool(made["missing"] or made["repeated"] or made["out_of_range"])
    return made | {"repaired": repaired, "well_formed": not (repaired or made["other_text"])}


def asked(*answers):
    return {"answers": list(answers), "passes": 2, "prompt_tokens": 50, "new_tokens": 7}


def test_formatting_counts_answers_by_fault():
    cell = {"model": "m", "set": "a", "order": "shuffled", "method": "listwise"}
    good, bad = an_answer(cut=True), an_answer(missing=3, repeated=1, cut=True)
    counts = formatting_counts(
        [
            (cell, [asked(good, bad)]),
            (cell | {"order": "reversed"}, [asked(an_answer(out_of_range=2), good)]),
            (cell, [asked(an_answer(other_text=True), good)]),  # another shard
            (cell | {"method": "query-likelihood", "order": "-"}, [asked()]),
        ]
    )
    first = counts.iloc[0].to_dict()
    assert (first["lists"], first["answers"], first["well_formed"], first["repaired"]) == (
        *(2, 4, 2, 1),
    )
    assert [first[name] for name in ("missing", "repeated", "out_of_range")] == [1, 1, 0]
    assert [first[name] for name in ("other_text", "cut", "passes", "new_tokens")] == [1, 3, 4, 14]
    assert success_rates(counts) == {("m", "listwise"): 0.5, ("m", "query-likelihood"): None}
    table = formatting_table(counts, sets=["a"], names={"a": "Set A"})
    assert [[cell.value for cell in row.cells] for row in table.rows] == [
        ["Listwise generation", 3, 6, 50.0, 1, 1, 1, 1, 4, 2],
        ["Query likelihood", 1, 0, pytest.approx(float("nan"), nan_ok=True), *[None] * 6],
    ]
    assert {row.section for row in table.rows} == {"Set A"}
    assert "Repaired" in table.markdown() and r"100 \%" in table.latex()
    with pytest.raises(HeadRankError, match="the counts hold"):
        formatting_table(pd.concat([counts, counts.assign(model="n")]), sets=["a"])
    with pytest.raises(HeadRankError, match="no records"):
        formatting_counts([])


def by_label(table):
    return {row.cells[0].value: row for row in table.rows}


def test_main_table_groups_means_and_averages():
    table = main_table(per_query(), None, layout(), measure="nDCG@10")
    assert [(row.section, row.cells[0].value) for row in table.rows] == [
        ("First stage", "BM25"),
        ("Training-free attention", "ICR"),
        ("Aligned", "HeadRank"),
        ("Controls", "Random"),
    ]
    assert [column.key for column in table.columns[1:]] == [
        "a.shuffled",
        "a.reversed",
        "b.shuffled",
        "b.reversed",
        "average.shuffled",
        "average.reversed",
    ]
    assert table.columns[1].span == "a (n = 2)" and table.columns[3].span == "b (n = 3)"
    values = [cell.value for cell in by_label(table)["HeadRank"].cells[1:]]
    assert values == pytest.approx([0.6, 0.55, 0.8, 0.6, 0.7, 0.575])
    values = [cell.value for cell in by_label(table)["BM25"].cells[1:]]
    assert values == pytest.approx([0.3, 0.3, 0.6, 0.6, 0.45, 0.45])


def test_a_group_of_sets_is_one_column():
    groups = {"both": ["a", "b"]}
    names = {"both": "Both"}
    table = main_table(per_query(), None, layout(groups=groups, names=names), measure="nDCG@10")
    assert [(c.span, c.title) for c in table.columns][1:] == [
        ("Both (2 sets, n = 5)", "shuffled"),
        ("Both (2 sets, n = 5)", "reversed"),
    ]
    # The mean of .6 (two queries) and .8 (three), not of five queries.
    assert by_label(table)["HeadRank"].cells[1].value == pytest.approx(0.7)
    assert "Both: mean of a, b, each counting alike" in table.notes[1]
    assert "no marks" in table.notes[1]
    rows = table.tidy[table.tidy["set"] == "both"].set_index(["method", "order"])
    assert rows.loc[("headrank", "shuffled"), "n"] == 5
    assert np.isnan(rows.loc[("headrank", "shuffled"), "low"])


def test_a_group_counts_as_one_in_the_average_and_keeps_marks_off():
    third = per_query()
    third = pd.concat([third, third[third["set"] == "a"].assign(set="c", value=1.0)])
    family = pd.DataFrame([significance(), significance(set="c")])
    table = main_table(
        third,
        family,
        layout(sets=["a", "c", "b"], groups={"ab": ["a", "b"]}, orders=["shuffled"]),
        measure="nDCG@10",
        baseline="bm25",
    )
    assert [column.key for column in table.columns][1:] == [
        "ab.shuffled",
        "c.shuffled",
        "average.shuffled",
    ]
    row = by_label(table)["HeadRank"].cells
    assert [cell.value for cell in row[1:]] == pytest.approx([0.7, 1.0, 0.85])
    assert [cell.mark for cell in row[1:]] == ["", "†", ""]
    assert "Averages are over sets, a group counting as one." in table.notes[0]
    marked = table.tidy.set_index(["set", "method"])["mark"]
    assert marked["a", "headrank"] == "†"


def test_best_is_bold_and_controls_never_are():
    rows = by_label(main_table(per_query(), None, layout(), measure="nDCG@10"))
    assert rows["Random"].cells[1].value == pytest.approx(0.95)
    assert not any(cell.emphasis for cell in rows["Random"].cells)
    assert [cell.emphasis for cell in rows["HeadRank"].cells[1:]] == ["best"] * 6
    # In b, reversed, BM25 and HeadRank tie: both are best.
    assert rows["BM25"].cells[4].emphasis == "best"


def test_declared_controls_are_out_of_the_ranking_too():
    rows = by_label(main_table(per_query(), None, layout(controls=["headrank"]), measure="nDCG@10"))
    assert rows["HeadRank"].section == "Controls"
    assert rows["BM25"].cells[1].emphasis == "best"


def test_several_models_have_sections_and_an_underlined_best():
    small, large = per_query("small"), per_query("large")
    large.loc[large["method"] == "headrank", "value"] += 0.05
    both = pd.concat([small, large[large["model"] == "large"]])
    table = main_table(both, None, layout(names={"large": "L"}), measure="nDCG@10")
    assert [row.section for row in table.rows][2:] == [
        "Training-free attention, small",
        "Aligned, small",
        "Training-free attention, L",
        "Aligned, L",
    ]
    assert [row.cells[1].emphasis for row in table.rows] == ["", "", "", "block", "", "best"]
    assert "underlined: best of the model" in table.notes[1]


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({}, "†"),
        ({"mean_difference": -0.3}, "‡"),
        ({"p_holm": 0.05}, ""),
        ({"system": "bm25", "baseline": "headrank"}, "‡"),
        ({"system": "bm25", "baseline": "headrank", "mean_difference": -0.3}, "†"),
    ],
)
def test_marks_against_the_declared_baseline(changes, mark):
    family = pd.DataFrame([significance(**changes)])
    table = main_table(per_query(), family, layout(), measure="nDCG@10", baseline="bm25")
    rows = by_label(table)
    assert [cell.mark for cell in rows["HeadRank"].cells[1:]] == [mark] + [""] * 5
    assert "† above, ‡ below BM25" in table.notes[2]
    assert "(family of 1)" in table.notes[2]
    assert table.notes[2].endswith(
        " Tested in order shuffled only. Not compared with it: ICR; Random."
    )


def test_a_method_without_a_model_is_marked_against_one_with_a_model():
    family = pd.DataFrame([significance()])
    table = main_table(per_query(), family, layout(), measure="nDCG@10", baseline="headrank")
    assert by_label(table)["BM25"].cells[1].mark == "‡"
    # Two models that disagree leave it unmarked.
    family = pd.DataFrame([significance(), significance(model="m2", mean_difference=-0.3)])
    table = main_table(per_query(), family, layout(), measure="nDCG@10", baseline="headrank")
    assert by_label(table)["BM25"].cells[1].mark == ""


def test_tidy_numbers_carry_interval_and_mark(tmp_path):
    family = pd.DataFrame([significance()])
    table = main_table(per_query(), family, layout(), measure="nDCG@10", baseline="bm25")
    paths = table.save(tmp_path / "main")
    assert [path.name for path in paths] == ["main.csv", "main-wide.csv", "main.md", "main.tex"]
    tidy = pd.read_csv(tmp_path / "main.csv").set_index(["set", "order", "method"])
    row = tidy.loc[("b", "shuffled", "headrank")]
    assert row["mean"] == pytest.approx(0.8) and row["n"] == 3
    assert row["low"] <= 0.8 <= row["high"]
    assert tidy.loc[("a", "shuffled", "headrank"), "mark"] == "†"
    wide = pd.read_csv(tmp_path / "main-wide.csv")
    assert list(wide.columns[:3]) == ["section", "method", "a.shuffled"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in paths)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        main_table(per_query(), None, layout(), measure="nDCG@10").save(tmp_path / name / "t")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_method_under_two_adapters_is_refused_until_seeds_are_joined():
    first = per_query()
    second = first[first["method"] == "headrank"].assign(
        adapter="pairs-2", value=lambda rows: rows["value"] + 0.1
    )
    both = pd.concat([first, second])
    with pytest.raises(HeadRankError, match=r"adapters .*pairs-1.*pairs-2.*average_seeds"):
        main_table(both, None, layout(), measure="nDCG@10")
    joined = average_seeds(both, {"pairs-1": "pairs", "pairs-2": "pairs"})
    assert len(joined) == len(first)
    table = main_table(joined, None, layout(), measure="nDCG@10")
    assert by_label(table)["HeadRank"].cells[1].value == pytest.approx(0.65)


def test_missing_methods_measures_and_queries_are_named():
    with pytest.raises(HeadRankError, match=r"no values for \['core'\]"):
        main_table(per_query(), None, layout(methods=["bm25", "core"]), measure="nDCG@10")
    with pytest.raises(HeadRankError, match="no measure 'AP'; it has nDCG@10"):
        main_table(per_query(), None, layout(), measure="AP")
    with pytest.raises(HeadRankError, match="set b: icr has 2 queries, bm25 3"):
        table = per_query()
        drop = (table["method"] == "icr") & (table["query"] == "b2")
        cell_means(table[~drop], "nDCG@10", ["shuffled"])


def test_measure_table():
    both = pd.concat([per_query(), per_query(measure="AP").assign(value=0.25)])
    table = measure_table(both, layout(), measures=["nDCG@10", "AP"], order="shuffled")
    assert [column.key for column in table.columns] == ["method", "nDCG@10", "AP"]
    assert [row.section for row in table.rows] == ["a (n = 2)"] * 4 + ["b (n = 3)"] * 4
    assert table.rows[2].cells[1] == Cell(pytest.approx(0.6), emphasis="best")
    assert table.rows[2].cells[2].value == 0.25


def test_order_table():
    table = order_table(per_query(), layout(), measure="nDCG@10")
    assert [row.cells[0].value for row in table.rows] == ["ICR", "HeadRank"] * 2
    row = table.rows[0]  # ICR on a: .2 shuffled, .45 reversed; differences .2 and .3
    assert [cell.value for cell in row.cells[1:]] == pytest.approx([0.2, 0.45, 0.325, 0.25])
    low, high = row.cells[4].interval
    assert 0.2 - 1e-9 <= low <= 0.25 <= high <= 0.3 + 1e-9
    assert "reversed − shuffled" in table.markdown() and "+0.250" in table.markdown()
    with pytest.raises(HeadRankError, match="order 'first-stage' is not among"):
        order_table(
            per_query(), layout(), measure="nDCG@10", difference=("first-stage", "shuffled")
        )


def test_emphasise_rounds_before_it_compares_and_knows_low_is_better():
    columns = [Column("x", "x", digits=2, better="high"), Column("s", "s", digits=1, better="low")]
    rows = [Row((Cell(0.501), Cell(3.0))), Row((Cell(0.499), Cell(1.0))), Row((Cell(), Cell(2.0)))]
    marked = emphasise(columns, rows)
    assert [[cell.emphasis for cell in row.cells] for row in marked] == [
        ["best", ""],
        ["best", "best"],
        ["", ""],
    ]
    alone = emphasise(columns[:1], [Row((Cell(0.5),)), Row((Cell(),))])
    assert alone[0].cells[0].emphasis == ""


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
    assert latex.escape("nDCG@10, p = .05") == markdown.escape("nDCG@10, p = .05")
    assert markdown.escape("two\nlines") == latex.escape("two\nlines") == "two lines"


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
    assert markdown.escape(text) == escaped


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


def test_head_table_counts_shared_heads_and_shows_stability():
    first = HeadSet((Head(3, 1, 0.9, 0.95, 0.5), Head(2, 0, 0.8, 0.85, 0.4)))
    second = HeadSet((Head(3, 1, 7.0),))
    stability = np.zeros((4, 2))
    stability[3, 1] = 0.875
    frame = head_table({"headrank": first, "core": second}, {"headrank": stability}).frame()
    assert list(frame["section"]) == ["HeadRank", "HeadRank", "CoRe"]
    assert list(frame["shared"]) == [1, 0, 1]
    assert list(frame["rank"]) == [1, 2, 1]
    assert frame["stability"][0] == 0.875 and np.isnan(frame["stability"][2])
    assert "window" not in frame


def test_head_table_has_a_window_where_a_head_slides():
    heads = HeadSet((Head(3, 1, 0.9), Head(2, 0, 0.8, window=512)))
    table = head_table({"headrank": heads})
    assert np.isnan(table.frame()["window"][0]) and table.frame()["window"][1] == 512
    assert "| 512 |" in table.markdown() and "Window: tokens" in table.markdown()


def test_head_table_tells_which_heads_could_not_be_selected():
    blind = np.ones((6, 2), dtype=bool)
    blind[2] = False
    blind[5, 1] = False
    text = head_table({"headrank": HeadSet((Head(2, 1, 0.9),))}, blind=blind).markdown()
    assert "9 of 12 heads could not be selected" in text
    assert "Layers with heads that see all: 2, 5." in text
    whole = head_table({"headrank": HeadSet((Head(2, 1, 0.9),))}, blind=np.zeros((6, 2), bool))
    assert "could not be selected" not in whole.markdown()


def test_pairs_table():
    summary = pd.read_csv(
        io.StringIO(
            "chosen_grade,rejected_grade,pairs,queries,mean_margin,misordered\n"
            "1,0,1200,90,-0.125,0.55\n"
            "2,1,40,12,0.25,0.4\n"
        )
    )
    text = pairs_table(summary).markdown()
    assert "| 1 | 0 | 1200 | 90 | −0.125 | 0.550 |" in text
    assert "| 2 | 1 | 40 | 12 | +0.250 | 0.400 |" in text


def test_ablation_table_leaves_the_default_untested():
    differences = pd.DataFrame(
        {
            "factor": ["K", "K"],
            "setting": ["8", "16"],
            "default": [True, False],
            "n": [50, 50],
            "mean": [0.6, 0.55],
            "difference": [0.0, -0.05],
            "low": [0.0, -0.08],
            "high": [0.0, -0.02],
            "p": [1.0, 0.002],
            "p_holm": [1.0, 0.004],
        }
    )
    text = ablation_table(differences, measure="nDCG@10").markdown()
    assert "| 8 (default) | 0.600 | – | – |" in text
    assert "| 16 | 0.550 | −0.050 \\[−0.080, −0.020\\] | 0.004 |" in text
    assert "(family of 1)" in text


def test_middle_table_keeps_the_order_of_systems():
    rates = pd.DataFrame(
        {
            "kind": ["relevant", "other", "gap"] * 2,
            "rate": [0.5, 0.2, 0.3, 0.7, 0.2, 0.5],
            "low": [0.4, 0.1, 0.2, 0.6, 0.1, 0.4],
            "high": [0.6, 0.3, 0.4, 0.8, 0.3, 0.6],
            "documents": [10, 90, 100] * 2,
            "queries": [8, 10, 10] * 2,
            "system": ["headrank-untuned"] * 3 + ["headrank"] * 3,
        }
    )
    table = middle_table(rates)
    assert [row.cells[0].value for row in table.rows] == ["HeadRank, untuned", "HeadRank"]
    text = table.markdown()
    assert "70.0 \\[60.0, 80.0\\]" in text and "+50.0 \\[+40.0, +60.0\\]" in text
    assert "| 10 | 90 |" in text


def test_middle_table_without_relevant_documents_prints_dashes():
    rates = pd.DataFrame(
        {
            "kind": ["relevant", "other", "gap"],
            "rate": [np.nan, 0.2, np.nan],
            "low": [np.nan, 0.1, np.nan],
            "high": [np.nan, 0.3, np.nan],
            "documents": [0, 90, 90],
            "queries": [0, 10, 10],
            "system": "icr",
            "set": "s",
        }
    )
    assert "| ICR | – | 20.0 \\[10.0, 30.0\\] | – | 0 | 90 |" in middle_table(rates).markdown()


def test_seeds_table_by_hand():
    values = pd.DataFrame(
        {
            "set": "a",
            "system": "headrank",
            "seed": [1, 2, 3],
            "value": [0.60, 0.62, 0.64],
        }
    )
    row = seeds_table(values, measure="nDCG@10").rows[0]
    assert row.section == "a" and row.cells[0].value == "HeadRank"
    assert row.cells[1].value == pytest.approx(0.62) and row.cells[1].error == pytest.approx(0.02)
    assert [cell.value for cell in row.cells[2:]] == [0.60, 0.64, 3]
    with pytest.raises(HeadRankError, match="seed 1 has two values"):
        seeds_table(values.assign(seed=[1, 1, 2]), measure="nDCG@10")


def test_one_seed_has_no_deviation():
    values = pd.DataFrame({"set": ["a"], "system": ["x"], "seed": [1], "value": [0.5]})
    assert "| x | 0.500 | 0.500 | 0.500 | 1 |" in seeds_table(values, measure="AP").markdown()


@pytest.mark.parametrize(
    ("method", "adapter", "group"),
    [
        ("bm25", "-", "First stage"),
        ("minilm", "-", "Dense"),
        ("random", "-", "Controls"),
        ("icr", "none", "Training-free attention"),
        ("headrank", "pairs-1", "Aligned"),
        ("headrank+bm25", "pairs-1", "Fusions"),
        ("minilm+bm25", "-", "Fusions"),
    ],
)
def test_groups_of_methods(method, adapter, group):
    assert labels.group(method, adapter, KINDS) == group


def test_labels_of_fusions_and_of_unknown_methods():
    assert labels.label("headrank+bm25") == "HeadRank + BM25"
    assert labels.label("mine+bm25", {"bm25": "Lucene"}) == "mine + Lucene"


def test_own_notes_follow_the_tables():
    table = main_table(per_query(), None, layout(), measure="nDCG@10", notes=["Mean of 3 seeds."])
    assert table.notes[-1] == "Mean of 3 seeds." and len(table.notes) == 3
