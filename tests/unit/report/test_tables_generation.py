"""Tables of generated answers: how many keep their form, and the faults of the others."""

import pandas as pd
import pytest

from headrank.errors import HeadRankError
from headrank.report.tables.formatting import formatting_counts, formatting_table, success_rates
from headrank.report.tables.main import main_table
from tests.helpers.table_values import KINDS, by_label, layout, per_query


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
