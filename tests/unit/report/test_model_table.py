"""The main table of one model: a column a set, marks of the whole family."""

import pandas as pd
import pytest

from headrank.report.tables.cells import Layout
from headrank.report.tables.main import Comparisons, main_table

KINDS = {"bm25": "first-stage", "listwise": "generative"}


def values():
    """Return two sets, two models: the large one's HeadRank gains .2 on set a."""
    rows = []
    for model, method, order, means in (
        ("-", "bm25", "-", (0.4, 0.5)),
        ("small", "headrank", "shuffled", (0.5, 0.6)),
        ("small", "headrank", "reversed", (0.9, 0.9)),
        ("small", "listwise", "reversed", (0.3, 0.3)),
        ("large", "headrank", "shuffled", (0.7, 0.6)),
        ("large", "listwise", "reversed", (0.8, 0.8)),
    ):
        cell = {"model": model, "adapter": "-", "order": order, "method": method}
        rows += [
            cell | {"set": name, "query": f"{name}{n}", "measure": "nDCG@10", "value": mean}
            for name, mean in zip("ab", means, strict=True)
            for n in range(3)
        ]
    return pd.DataFrame(rows)


def family():
    """Return BM25's comparison on each model: significant on the large one alone."""
    cell = {"set": "a", "order": "shuffled", "measure": "nDCG@10"}
    pair = cell | {"system": "headrank", "baseline": "bm25", "mean_difference": 0.3}
    return pd.DataFrame(
        [pair | {"model": "small", "p_holm": 0.4}, pair | {"model": "large", "p_holm": 0.01}]
    )


def table(model, baseline="bm25"):
    layout = Layout(
        ["a", "b"], ["shuffled"], ["bm25", "headrank", "listwise"], KINDS, names={"a": "A"}
    )
    return main_table(
        values(), Comparisons(family(), baseline), layout, measure="nDCG@10", model=model
    )


def test_columns_are_sets_and_their_average_in_one_named_order():
    made = table("large")
    assert [column.title for column in made.columns] == [
        "Method",
        "A (n = 3)",
        "b (n = 3)",
        "average",
    ]
    assert not any(column.span for column in made.columns)
    assert "prompt order: shuffled, mean over all n judged queries" in made.notes[0]
    rows = {row.cells[0].value: [cell.value for cell in row.cells[1:]] for row in made.rows}
    assert rows["HeadRank"] == pytest.approx([0.7, 0.6, 0.65])
    assert rows["BM25"] == pytest.approx([0.4, 0.5, 0.45])
    # It ran in another order alone, and its numbers there are not passed off as this one's.
    assert rows["Listwise generation"] == [None, None, None]
    assert set(made.tidy["model"]) == {"-", "large"}


def test_marks_are_those_of_the_model_after_the_correction_over_all():
    marks = {
        model: [row.cells[1].mark for row in table(model).rows] for model in ("small", "large")
    }
    assert marks["large"].count("†") == 1 and not any(marks["small"])
    assert "(family of 2)" in table("small").notes[2]
    # Against a baseline with a model BM25's mark differs by model: one table cannot carry both.
    bm25 = {m: table(m, "headrank").rows[0].cells[1].mark for m in ("small", "large", None)}
    assert bm25 == {"small": "", "large": "‡", None: ""}
