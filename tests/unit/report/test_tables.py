"""Tables of results: values by hand, marks in both directions, best without controls."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from headrank.errors import HeadRankError
from headrank.report.tables.breakdown import measure_table, order_table
from headrank.report.tables.cells import average_seeds, cell_means
from headrank.report.tables.main import Comparisons, cut_notes, main_table, tabulate_main
from headrank.report.tables.render import to_html, to_page
from headrank.report.tables.table import Cell, Column, Row, emphasise
from tests.helpers.table_values import by_label, layout, per_query, significance


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
        Comparisons(family, "bm25"),
        layout(sets=["a", "c", "b"], groups={"ab": ["a", "b"]}, orders=["shuffled"]),
        measure="nDCG@10",
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


@pytest.mark.parametrize(
    ("rerankable", "said"),
    [
        ((), ""),
        (("b",), "The queries of B are those"),
        (("a", "b"), "The queries of a set are those"),
    ],
)
def test_it_is_told_which_queries_a_set_holds(rerankable, said):
    shown = layout(rerankable=rerankable, names={"b": "B"})
    main = main_table(per_query(), None, shown, measure="nDCG@10")
    measures = measure_table(per_query(), shown, measures=["nDCG@10"], order="shuffled")
    for table in (main, measures):
        assert "over all n judged queries of a set." in table.notes[0]
        assert said in table.notes[0]
        assert ("levels are higher" in table.notes[0]) == bool(rerankable)


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
    table = main_table(per_query(), Comparisons(family, "bm25"), layout(), measure="nDCG@10")
    rows = by_label(table)
    assert [cell.mark for cell in rows["HeadRank"].cells[1:]] == [mark] + [""] * 5
    assert "† above, ‡ below BM25" in table.notes[2]
    assert "(family of 1)" in table.notes[2]
    assert table.notes[2].endswith(
        " Tested in order shuffled only. Not compared with it: ICR; Random."
    )


def test_a_test_is_told_though_nothing_is_significant():
    family = pd.DataFrame([significance(p_holm=0.4)] * 8)
    table = main_table(per_query(), Comparisons(family, "bm25"), layout(), measure="nDCG@10")
    text = table.markdown()
    assert "No mark: no tested difference is significant." in text
    # Two queries: 2 ** -1, and Holm's correction over eight rows of so few.
    assert "a (n = 2): 0.5, 1 after the correction" in text
    family = pd.DataFrame([significance()])
    table = main_table(per_query(), Comparisons(family, "bm25"), layout(), measure="nDCG@10")
    assert "No mark" not in table.markdown()
    # Without a baseline no cell can be marked; that tests were made is said all the same.
    family = pd.DataFrame([significance(), significance(p_holm=0.4)])
    text = main_table(per_query(), Comparisons(family), layout(), measure="nDCG@10").markdown()
    assert "1 of 2 declared comparisons differ" in text


def test_a_page_shows_the_table_as_markdown_does():
    family = pd.DataFrame([significance()])
    names = {"a": "Answers <b>"}
    table = main_table(
        per_query(), Comparisons(family, "bm25"), layout(names=names), measure="nDCG@10"
    )
    page = ElementTree.fromstring(to_html(table).partition("\n")[2])
    rows = [[cell for cell in row] for row in page.iter("tr")]
    shown = ["".join(cell.itertext()) for cell in rows[-1]]
    last = table.rows[-1].cells
    texts = [text + cell.mark for text, cell in zip(table.texts()[-1], last, strict=True)]
    assert shown == texts
    assert [cell.find("b") is not None for cell in rows[-1]] == [
        cell.emphasis == "best" for cell in last
    ]
    spans = [(cell.get("colspan"), cell.text) for cell in rows[0]]
    assert ("2", "Answers <b> (n = 2)") in spans
    assert ["".join(note.itertext()) for note in page.iter("p")] == list(table.notes)


def test_a_page_of_several_tables_begins_with_its_sentence():
    table = main_table(
        per_query(), Comparisons(pd.DataFrame([significance()])), layout(), measure="nDCG@10"
    )
    page = to_page("Two <tables>", [table, replace(table, title="Below")], "5 < 6")
    body = ElementTree.fromstring(page.partition("\n")[2]).find("body")
    first = body.find("table")
    assert [part.tag for part in body][:2] == ["p", "table"] and body.find("p").text == "5 < 6"
    assert [one.text for one in body.iter("caption")] == [table.title, "Below"]
    assert len(list(body.iter("td"))) == 2 * len(list(first.iter("td")))


def test_a_method_without_a_model_is_marked_against_one_with_a_model():
    family = pd.DataFrame([significance()])
    table = main_table(per_query(), Comparisons(family, "headrank"), layout(), measure="nDCG@10")
    assert by_label(table)["BM25"].cells[1].mark == "‡"
    # Two models that disagree leave it unmarked.
    family = pd.DataFrame([significance(), significance(model="m2", mean_difference=-0.3)])
    table = main_table(per_query(), Comparisons(family, "headrank"), layout(), measure="nDCG@10")
    assert by_label(table)["BM25"].cells[1].mark == ""


def test_tidy_numbers_carry_interval_and_mark(tmp_path):
    family = pd.DataFrame([significance()])
    table = main_table(per_query(), Comparisons(family, "bm25"), layout(), measure="nDCG@10")
    paths = table.save(tmp_path / "main")
    assert [path.name for path in paths] == [
        *("main.csv", "main-wide.csv", "main.md", "main.tex", "main.html")
    ]
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
    # Both differences are positive: two of the four sign patterns are as far from 0.
    assert [cell.value for cell in row.cells[1:]] == pytest.approx([0.2, 0.45, 0.325, 0.25, 0.5])
    assert row.cells[5].mark == "*" and "Interval and test disagree" in table.markdown()
    low, high = row.cells[4].interval
    assert 0.2 - 1e-9 <= low <= 0.25 <= high <= 0.3 + 1e-9
    assert "reversed − shuffled" in table.markdown() and "+0.250" in table.markdown()
    with pytest.raises(HeadRankError, match="order 'first-stage' is not among"):
        order_table(
            per_query(), layout(), measure="nDCG@10", difference=("first-stage", "shuffled")
        )


def test_emphasise_rounds_before_it_compares_and_knows_low_is_better():
    columns = [Column("x", "x", digits=2, better="high"), Column("s", "s", digits=1, better="low")]
    values = [(0.501, 3.0), (0.499, 1.0), (0.4, 2.0), (None, None)]
    marked = emphasise(columns, [Row(tuple(map(Cell, pair))) for pair in values])
    assert [[cell.emphasis for cell in row.cells] for row in marked] == [
        ["best", ""],
        ["best", "best"],
        ["", ""],
        ["", ""],
    ]


@pytest.mark.parametrize("values", [(0.5, None), (0.501, 0.499)])
def test_values_that_are_all_alike_have_no_best(values):
    columns = [Column("x", "x", digits=2, better="high")]
    marked = emphasise(columns, [Row((Cell(value),)) for value in values])
    assert [row.cells[0].emphasis for row in marked] == ["", ""]


def test_own_notes_follow_the_tables(tmp_path):
    per_query().to_parquet(tmp_path / "per_query.parquet")
    table = tabulate_main(
        str(tmp_path / "per_query.parquet"),
        *([], [], []),
        layout=vars(layout()),
        marks={},
        budget=None,
        measure="nDCG@10",
        notes=["Mean of 3 seeds."],
    )
    assert table.notes[-1] == "Mean of 3 seeds." and len(table.notes) == 4
    # Said in every table, tested or not.
    assert table.notes[-2].startswith("Few queries: a n = 2; b n = 3. Below 20 queries")


def test_cut_documents_are_told_below_the_main_table(tmp_path):
    (tmp_path / "small").mkdir()
    path = tmp_path / "small/cut.csv"
    path.write_text(
        "set,documents,cut,tokens,kept_tokens\none,40,10,2000,800\ntwo,40,0,0,0\nthree,8,8,90,45\n"
    )
    (note,) = cut_notes([str(path)], 80, {"one": "One", "small": "S"})
    assert note == (
        "Documents cut to 80 tokens for S: One 10 of 40 (40 % of their tokens read); "
        "three 8 of 8 (50 % of their tokens read)."
    )
    path.write_text("set,documents,cut,tokens,kept_tokens\ntwo,40,0,0,0\n")
    assert list(cut_notes([str(path)], 80, {})) == []
