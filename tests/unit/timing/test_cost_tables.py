"""Tables and figures of speed: joined from files, each number in its place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from headrank.errors import HeadRankError
from headrank.report.figures.benchmarks import draw_benchmarks
from headrank.report.subject import Subject
from headrank.report.tables.cost import (
    benchmark_table,
    latency_table,
    load_benchmarks,
    quality_by_cost,
)
from headrank.timing.stopwatch import Work, costs

OF = Subject("m", "s", "nDCG@10", "shuffled")
READING = pd.DataFrame(
    {
        "case": ["all heads, full depth", "8 heads, calibrated"],
        "dtype": "float32",
        "documents": 20,
        "tokens": 2319,
        "rounds": 5,
        "seconds": [10.4, 6.0],
        "reference_seconds": [10.3, 6.1],
        "ratio": [1.06, 0.94],
        "low": [0.9, 0.86],
        "high": [1.1, 1.05],
        "target": [1.05, np.nan],
    }
)
GROWTH = pd.DataFrame(
    {
        "documents": [10, 20],
        "dtype": "float32",
        "tokens": [700, 1400],
        "seconds": [1.5, 3.5],
        "bare_seconds": [2.5, 6.0],
        "ratio": [0.6, 0.58],
        "low": [0.55, 0.5],
        "high": [0.62, 0.6],
    }
)
PROMPTING = pd.DataFrame(
    {"case": ["a prompt"], "documents": 200, "tokens": 9, "seconds": [0.05], "target": [0.15]}
)
METHODS = pd.DataFrame(
    {
        "method": ["headrank", "listwise"],
        "passes": [1, 3],
        "tokens": [2000, 6000],
        "seconds": [6.0, 30.0],
        "malformed": [0.0, 3.0],
        "ratio": [1.0, 5.0],
    }
)


@pytest.fixture
def parts(tmp_path):
    tables = {
        "reading-float32": READING,
        "growth-float32": GROWTH,
        "prompting": PROMPTING,
        "methods-float32": METHODS,
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return [tmp_path / f"{name}.csv" for name in reversed(tables)]


def test_benchmarks_are_joined_by_kind(parts, tmp_path):
    results = load_benchmarks(parts)
    assert list(results) == ["reading", "growth", "prompting", "methods"]
    table = benchmark_table(results)
    frame = table.frame()
    assert frame["case"].tolist() == [
        "all heads, full depth",
        "8 heads, calibrated",
        "10 documents",
        "20 documents",
        "a prompt",
        "HeadRank",
        "Listwise generation (malformed answers: 100 % (3 of 3))",
    ]
    assert frame["met"].fillna("-").tolist()[:2] == ["no", "-"]
    assert frame.loc[4, ["target", "met"]].tolist() == ["≤ 0.15 s", "yes"]
    assert table.texts()[0][7] == "1.060 [0.900, 1.100]"
    table.save(tmp_path / "out")
    (tmp_path / "tokens.csv").write_text("a\n1\n")
    with pytest.raises(HeadRankError, match="no benchmark is called 'tokens'"):
        load_benchmarks([tmp_path / "tokens.csv"])


def test_benchmarks_are_drawn(parts):
    figure = draw_benchmarks(parts, model="m", names={"m": "Model M"})
    assert figure.get_suptitle() == "Model M · left: one list of 20 made documents, n = 5 rounds"
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == READING["case"].tolist()
    assert len(right.lines) == 2
    figure.draw_without_rendering()


def points() -> pd.DataFrame:
    from headrank.data.candidates import CandidateList, Passage

    lists = [CandidateList(q, q, ("a",), (Passage("", "x"),)) for q in ("q1", "q2")]
    now = {"time": 0.0}

    def system(seconds, **work):
        def rank(candidates):
            now["time"] += seconds
            return Work(**work)

        return rank

    systems = {
        "bm25": system(0.5),
        "icr": system(4, passes=1, tokens=100, layers=30),
        "headrank": system(2, passes=1, tokens=60, layers=18),
        "listwise": system(9, passes=2, tokens=300, malformed=2),
    }
    per_query = pd.DataFrame(
        [
            ("s", "-", "-", "-", "bm25", "q1", 0.2),
            ("s", "-", "-", "-", "bm25", "q2", 0.4),
            ("s", "m", "none", "shuffled", "icr", "q1", 0.5),
            ("s", "m", "none", "shuffled", "icr", "q2", 0.7),
            ("s", "m", "none", "reversed", "icr", "q1", 0.0),
            ("s", "other", "none", "shuffled", "icr", "q1", 0.0),
            ("s", "m", "a-1", "shuffled", "headrank", "q1", 0.6),
            ("s", "m", "a-2", "shuffled", "headrank", "q1", 0.8),
            ("s", "m", "a-1", "shuffled", "headrank", "q2", 0.9),
            ("s", "m", "a-2", "shuffled", "headrank", "q2", 0.9),
            ("s", "m", "a-1", "shuffled", "headrank+bm25", "q1", 1.0),
            ("s", "m", "a-1", "shuffled", "headrank+bm25", "q2", 1.0),
        ],
        columns=["set", "model", "adapter", "order", "method", "query", "value"],
    ).assign(measure="nDCG@10")
    return quality_by_cost(
        costs(systems, lists, 2, lambda: now["time"]),
        per_query,
        OF,
        methods=["bm25", "icr", "headrank", "headrank+bm25", "random"],
        confidence=0.95,
        seed=1,
    )


def test_quality_stands_beside_its_cost():
    table = points().set_index("method")
    assert table.index.tolist() == ["bm25", "icr", "headrank", "headrank+bm25", "listwise"]
    assert table["seconds"].tolist() == [0.5, 4, 2, 2.5, 9]
    assert table["value"].tolist()[:4] == pytest.approx([0.3, 0.6, 0.8, 1.0])
    assert np.isnan(table.loc["listwise", "value"])
    assert table.loc["headrank+bm25", "tokens"] == 60
    assert table["layers"].fillna(0).tolist() == [0, 30, 18, 18, 0]
    assert (table["low"].dropna() <= table["value"].dropna()).all()


def test_a_method_behind_stored_documents_has_its_own_cost_and_the_method_s_value():
    costs_of = {"icr": 4.0, "icr.stored": 0.25}
    measured = pd.DataFrame(
        {
            "method": list(costs_of),
            "query": "q1",
            "round": 0,
            "seconds": list(costs_of.values()),
            **{"passes": 1, "tokens": [100, 12], "malformed": 0, "layers": 30},
        }
    )
    columns = ["set", "model", "adapter", "order", "method", "query", "value", "measure"]
    rows = [("s", "m", "none", "shuffled", "icr", f"q{n}", n / 4, "nDCG@10") for n in range(4)]
    table = quality_by_cost(
        measured,
        pd.DataFrame(rows, columns=columns),
        OF,
        methods=["icr"],
        confidence=0.95,
        seed=1,
        stored={"icr.stored": "icr"},
    )
    assert table["method"].tolist() == ["icr", "icr.stored"]
    assert table["seconds"].tolist() == [4, 0.25] and table["tokens"].tolist() == [100, 12]
    assert table["value"].tolist() == [0.375, 0.375]
    options = {"gpu": False, "about": "One list."}
    shown = latency_table(table, OF, **options, stored={"icr.stored": "icr"})
    assert any(note.startswith("Stored: documents were encoded") for note in shown.notes)
    plain = latency_table(table[:1], OF, **options, stored={"icr.stored": "icr"})
    assert not any("Stored" in note for note in plain.notes)


def test_the_latency_table_says_what_was_timed():
    table = latency_table(
        points(),
        OF,
        gpu=False,
        about="Two lists of s.",
        generative=["listwise"],
    )
    text = table.markdown()
    assert "CPU s" in text
    assert "Two lists of s." in text
    assert table.frame()["malformed"].tolist()[-1] == "100 % (4 of 4)"
    # Of all answers: two lists of two prompts each. What reads attention gives none.
    assert text.count("100 % (4 of 4)") == 1 and text.count(" % (") == 1
    assert [row[3] for row in table.texts()] == ["–", "30", "18", "18", "–"]
    gpu = latency_table(points(), OF, gpu=True, about="Two lists.")
    assert "GPU s" in gpu.markdown()
