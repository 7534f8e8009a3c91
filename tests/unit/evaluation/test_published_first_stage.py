"""The first stage beside published numbers: small runs whose nDCG@10 is known by hand."""

import math

import pytest

from headrank.data.trec import Run
from headrank.evaluation.published_first_stage import Published, compare_first_stages, declared
from headrank.io.files import write_jsonl
from headrank.report.tables.first_stage import first_stage_table
from tests.helpers.expected_errors import refused


@pytest.fixture
def folder(tmp_path):
    """Return a collection: three judged test queries, and one of another split."""
    write_jsonl(tmp_path / "corpus.jsonl", [{"doc_id": d, "text": d} for d in ("a", "b", "c")])
    write_jsonl(
        tmp_path / "queries.jsonl",
        [
            {"query_id": f"q{n}", "text": "x", "split": "train" if n == 3 else "test"}
            for n in range(4)
        ],
    )
    (tmp_path / "qrels.tsv").write_text("".join(f"q{n} 0 a 1\n" for n in range(4)))
    # q0 has its document first, q1 second, q2 is not answered at all.
    run = Run({"q0": [("a", 2.0), ("b", 1.0)], "q1": [("b", 2.0), ("a", 1.0)], "q3": [("a", 1.0)]})
    run.save(tmp_path / "test.run")
    return tmp_path


OURS = (1 + 1 / math.log2(3) + 0) / 3


def compared(folder, *published):
    return compare_first_stages(
        ("food", "test", folder, folder / "test.run", one) for one in published
    )


def test_every_judged_query_of_the_split_counts(folder):
    row = compared(folder, Published(0.5436, "someone")).iloc[0]
    assert row["queries"] == 3
    assert row["ours"] == pytest.approx(OURS)
    assert row["difference"] == pytest.approx(OURS - 0.5436)
    assert not row["differs"]


@pytest.mark.parametrize(
    "difference, differs",
    [(0, False), (0.00049, False), (-0.00049, False), (0.00051, True), (-0.3, True)],
)
def test_a_difference_above_the_tolerance_is_flagged(folder, difference, differs):
    table = compared(folder, Published(OURS - difference, "someone"))
    assert list(table["differs"]) == [differs]
    assert ("differs" in first_stage_table(table).markdown()) is differs


def test_the_table_names_sources_and_reasons(folder, tmp_path):
    table = first_stage_table(
        compared(
            folder, Published(0.9, "a paper", "another analyser"), Published(0.5436, "a paper")
        )
    )
    text = table.markdown()
    assert "food, test: another analyser" in text
    assert text.count("Published: a paper") == 1
    assert "−0.3564" in text
    assert {path.name for path in table.save(tmp_path / "first_stage")} == {
        "first_stage.csv",
        "first_stage-wide.csv",
        "first_stage.html",
        "first_stage.md",
        "first_stage.tex",
    }


def test_what_cannot_be_compared(folder):
    with refused("no collection of the experiment declares", "collections.NAME.published"):
        compared(folder)
    with refused("food, split test: published nDCG@10 is 54.36; allowed: 0 to 1", "percentage"):
        compared(folder, declared({"value": 54.36, "source": "someone"}))
