"""Tables of single studies: heads, pairs, ablations, lost in the middle, seeds."""

import io

import numpy as np
import pandas as pd
import pytest

from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.report.tables.heads_and_training import (
    ablation_table,
    head_table,
    pairs_table,
    seeds_table,
)
from headrank.report.tables.position import homogenisation_table, middle_table
from headrank.report.tables.significance import significance_table
from headrank.report.tables.table import Column, number


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
    heads = HeadSet((Head(2, 1, 0.9),))
    text = head_table({"headrank": heads}, blind={"headrank": blind}).markdown()
    assert "9 of 12 heads could not be selected" in text
    assert "Layers with heads that see all: 2, 5." in text
    sees = np.zeros((6, 2), bool)
    whole = head_table({"headrank": heads}, blind={"headrank": sees})
    assert "could not be selected" not in whole.markdown()
    # Read apart, every document is near the query.
    both = head_table({"headrank": heads, "block": heads}, blind={"headrank": blind, "block": sees})
    assert any(note.startswith("HeadRank: 9 of 12 heads could not") for note in both.notes)


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
    assert "was read" not in text
    unread = pairs_table(summary.assign(mean_margin=[-0.125, float("nan")])).markdown()
    assert "| 2 | 1 | 40 | 12 | – | 0.400 |" in unread
    assert "none of these pairs' lists was read" in unread


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
    assert "| 8 (default) | 0.600 | – | – | – |" in text
    assert "| 16 | 0.550 | −0.050 \\[−0.080, −0.020\\] | 0.0020 | 0.0040 |" in text
    assert "over all 1 settings" in text and "disagree" not in text
    # The interval leaves 0 out, the test does not: the p says so, and the default has none.
    doubtful = differences.assign(p=[1.0, 0.06])
    rows = ablation_table(doubtful, measure="nDCG@10").rows
    assert [row.cells[3].mark for row in rows] == ["", "*"]


def test_a_p_value_is_never_printed_as_zero():
    column = Column("p", "p", digits=3, probability=True)
    shown = {0.0: "<0.001", 0.0004: "<0.001", 0.0006: "0.001", 0.04: "0.040", 1.0: "1.000"}
    assert {p: number(p, column) for p in shown} == shown
    assert number(0.0, Column("d", "d", digits=3)) == "0.000"


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


def test_middle_table_tells_what_alignment_changed():
    rates = pd.DataFrame(
        {
            "kind": ["relevant", "other", "gap"] * 2,
            "rate": [0.5, 0.2, 0.3, 0.7, 0.2, 0.5],
            "low": 0.1,
            "high": 0.9,
            "documents": 10,
            "queries": 8,
            "change": [np.nan] * 3 + [0.2, 0.0, 0.2],
            "change_low": [np.nan] * 3 + [0.1, -0.1, 0.05],
            "change_high": [np.nan] * 3 + [0.3, 0.1, 0.35],
            "change_p": [np.nan] * 3 + [0.01, 1.0, 0.0625],
            "before": [np.nan] * 3 + ["headrank-untuned"] * 3,
            "system": ["headrank-untuned"] * 3 + ["headrank"] * 3,
        }
    )
    text = middle_table(rates).markdown()
    assert "| +20.0 \\[+5.0, +35.0\\] | 0.0625\\* |" in text and "without the adapter" in text
    assert "disagree in 1 of 2 rows" in text
    untuned = next(line for line in text.splitlines() if line.startswith("| HeadRank, untuned"))
    assert [cell.strip() for cell in untuned.split("|")[5:7]] == ["–", "–"]


def test_homogenisation_table():
    parts = {"part": [1, 2], "kind": "other", "documents": 3, "sd": 1.0}
    positions = pd.concat(
        [
            pd.DataFrame({**parts, "mean": [0.0, 0.0], "system": "headrank"}),
            pd.DataFrame({**parts, "mean": [1.0, -1.0], "system": "icr"}),
        ]
    )
    zones = {"zone": ["start", "middle", "end"], "queries": 9, "low": 0.2, "high": 0.9}
    spread = pd.concat(
        [
            pd.DataFrame({**zones, "spread": [1.0, 0.5, 0.8], "system": "headrank"}),
            pd.DataFrame({**zones, "spread": np.nan, "system": "icr"}),
        ]
    )
    table = homogenisation_table(positions, spread, names={"icr": "ICR, calibrated"})
    first, second = ([cell.value for cell in row.cells] for row in table.rows)
    # Two parts of six documents: 1 of 5 degrees of freedom lies between them.
    assert first == ["HeadRank", 0.0, 20.0, 1.0, 0.5, 0.8]
    # Two parts of three documents, 1 from their mean, with variance 1 in each: 6 of 6 + 4.
    assert second[:3] == ["ICR, calibrated", pytest.approx(60), 20.0]
    assert all(value is None for value in second[3:])
    assert "0.50 \\[0.20, 0.90\\]" in table.markdown()


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


def comparison(**changes):
    usual = {"model": "m", "set": "a", "order": "shuffled", "measure": "nDCG@10", "n": 27}
    usual |= {"system": "headrank", "baseline": "icr", "mean_difference": 0.05}
    return usual | {"low": 0.01, "high": 0.12, "p": 0.02, "p_holm": 0.4, "p_t": 0.03} | changes


def test_a_comparison_stands_with_its_interval_and_every_test():
    table = significance_table(
        pd.DataFrame([comparison(), comparison(set="b", p=0.0615, p_t=0.0401)]),
        names={"headrank": "HeadRank, aligned", "a": "Answers"},
    )
    assert [row.section for row in table.rows] == ["Answers, shuffled", "b, shuffled"]
    text = table.markdown()
    row = "| HeadRank, aligned | ICR | 27 | +0.050 \\[+0.010, +0.120\\] |"
    assert f"{row} 0.0200 | 0.4000 | 0.0300 |" in text
    assert f"{row} 0.0615\\* | 0.4000 | 0.0401 |" in text
    assert "disagree in 1 of 2 rows" in text and "Student's paired t-test" in text
    assert "least p" not in text


def test_so_few_queries_that_no_test_can_decide_are_named():
    # Five signs have 32 patterns; the two extreme ones are 1/16.
    text = significance_table(pd.DataFrame([comparison(n=5, p=0.0625), comparison(n=6)])).markdown()
    assert "can give: a (n = 5): 0.0625. No" in text and "Few queries: a n = 6." in text
    # After Holm's correction even the least p of four rows of n = 7 is 4 * 2 ** -6.
    rows = [comparison(n=7, set=name) for name in "abcd"] + [comparison(n=30, set="e")]
    text = significance_table(pd.DataFrame(rows), names={"b": "Bees"}).markdown()
    assert "a (n = 7): 0.01562, 0.0625 after the correction; Bees (n = 7)" in text
    assert "e (n = 30)" not in text
    assert "No difference is significant: every p (Holm) is 0.05 or more." in text
    text = significance_table(pd.DataFrame([comparison(n=7, p_holm=0.0157)])).markdown()
    assert "least p" not in text and "No difference is significant" not in text
