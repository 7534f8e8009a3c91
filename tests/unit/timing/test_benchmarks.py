"""The benchmarks run, and count what they say they count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import (
    apart,
    apart_figure,
    bm25,
    halves,
    memory,
    methods,
    prompting,
    reading,
    training,
)
from benchmarks.material import bare_model, passages, some_heads
from headrank.align.options import AlignOptions
from headrank.baselines.generation.model import load_generator
from headrank.collections.collection import iter_documents
from headrank.errors import HeadRankError
from headrank.reading.readings import ListReading
from headrank.report.figures.benchmarks import benchmarks
from headrank.report.tables.cost import benchmark_table, load_benchmarks
from tests.helpers import tiny_models as tiny


def test_passages_are_drawn_once_for_all():
    first, second = passages(3, 7), passages(5, 7)
    assert first.passages == second.passages[:3]
    assert [len(p.text.split()) for p in second.passages] == [7] * 5


# Of four layers two are read, with two heads each.
@pytest.mark.parametrize(
    ("layers", "heads", "count"), [(30, 9, 8), (28, 16, 8), (36, 32, 8), (4, 4, 4)]
)
def test_heads_end_at_the_share_of_the_depth(layers, heads, count):
    chosen = some_heads(layers, heads)
    assert len(set(chosen.pairs)) == count
    assert all(layer >= 0 for layer, _ in chosen.pairs)
    assert (chosen.deepest + 1) / layers == pytest.approx(0.6, abs=0.5 / layers + 0.01)


def test_the_bare_model_is_cut_and_plain():
    model = bare_model(tiny.folder("gemma3"), "float32", 2)
    assert len(model.layers) == 2
    assert model.config._attn_implementation == "sdpa"


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    model = tiny.folder("llama")
    small = {"words": 4, "rounds": 1}
    tables = {
        "reading-float32": reading.compare(model, documents=3, **small),
        "apart-float32": apart.compare(model, [3, 20], dtype="float32", **small),
        "growth-float32": reading.growth(model, [2, 4], **small),
        "prompting": prompting.building(model, documents=5, **small),
        "methods-float32": methods.compare(model, documents=3, **small),
        "training-float32": training.compare(model, dtype="float32", documents=3, **small),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return sorted(folder.glob("*.csv"))


def test_every_case_is_measured(parts):
    results = load_benchmarks(parts)
    assert results["reading"]["case"].tolist() == list(reading.CASES)
    assert (results["reading"][["seconds", "reference_seconds", "ratio"]] > 0).all(axis=None)
    assert results["reading"]["tokens"].nunique() == 1
    tokens = results["growth"]["tokens"].to_numpy()
    assert tokens[1] > tokens[0]
    passes = results["methods"].set_index("method")["passes"].to_dict()
    assert passes == {"headrank": 1, "core": 1, "icr": 1, "listwise": 1, "pointwise": 3}
    assert np.allclose(results["prompting"]["target"], 0.15)
    trained = results["training"]
    assert trained["case"].tolist() == list(training.CASES)
    assert (trained[["seconds", "reference_seconds", "ratio"]] > 0).all(axis=None)
    assert trained["target"].notna().tolist() == [True, False] * 3
    # Lists of known targets, and others; what is stored has a size.
    found = results["apart"]
    assert found["target"].isna().tolist() == [True] * 6 + [False] * 2 + [True] * 2
    sizes = found["megabytes"].dropna()
    assert sizes.index.tolist() == [2, 3, 4, 7, 8, 9] and sizes[7] > sizes[2] > 0
    assert len(benchmark_table(results).rows) == 10 + 5 + 2 + 2 + 5 + 6
    benchmarks(results).draw_without_rendering()


def test_the_growth_is_drawn_as_far_as_each_layout_reads(tmp_path):
    table = apart.growth(tiny.folder("llama"), [2, 60], dtype="float32", words=30, rounds=1)
    # 60 documents are longer than the tiny model's context: joint reads them not.
    assert table["case"].tolist() == ["joint", "block", "stored", "disk", "block", "stored", "disk"]
    assert (table["seconds"] > 0).all()
    sizes = table.set_index(["case", "documents"])["megabytes"]
    assert sizes["stored", 60] > 20 * sizes["stored", 2]
    apart_figure.draw(table, tmp_path / "growth")
    assert (tmp_path / "growth.pdf").stat().st_size > 1000
    (axes,) = apart_figure.figure(table).axes
    assert [line.get_xdata().tolist() for line in axes.lines] == [[2], [2, 60], [2, 60], [2, 60]]


def test_the_reference_of_a_training_step_learns_to_write():
    """A reference that trained nothing would make any step look dear."""
    ids = tuple(np.random.default_rng(1).integers(5, 60, 24).tolist())
    settings = AlignOptions(learning_rate=0.02, projections="all")
    step = training.fine_tuning(load_generator(tiny.folder("llama")).model, settings, ids, 6)
    losses = [step() for _ in range(8)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
def test_memory_is_taken_in_processes_of_their_own():
    table = memory.peaks(tiny.folder("llama"), documents=3, words=4)
    assert isinstance(table, pd.DataFrame)
    assert table["case"].tolist() == [f"memory, {task}" for task in memory.TASKS]
    assert (table["megabytes"] > 100).all()
    assert table.loc[0, "ratio"] == 1


def test_made_up_passages_follow_zipf_and_the_seed(tmp_path):
    passages = list(bm25.made_up(500, vocabulary=2000))
    assert passages == list(bm25.made_up(500, vocabulary=2000))
    assert passages[:2] != list(bm25.made_up(2, seed=14, vocabulary=2000))
    words = pd.Series([word for document in passages for word in document.text.split()])
    assert len(words) / 500 == pytest.approx(55, abs=3)
    frequencies = words.value_counts()
    # The second most frequent word comes half as often as the first, the eighth an eighth.
    assert frequencies.iloc[7] / frequencies.iloc[0] == pytest.approx(1 / 8, rel=0.2)
    assert len({len(document.text.split()) for document in passages}) > 50


@pytest.mark.slow
def test_bm25_is_measured_at_each_size_and_extended(tmp_path, capsys):
    output = tmp_path / "bm25.csv"
    bm25.main(["200", "400", "--vocabulary", "3000", "--output", str(output)])
    table = pd.read_csv(output)
    assert table["passages"].tolist() == [200, 400]
    assert (table > 0).all(axis=None)
    # Stopwords are half of so small a vocabulary's text, and have no postings.
    assert (table["postings"] / table["passages"]).tolist() == pytest.approx([28] * 2, abs=4)
    assert (table.filter(like="peak") > 50).all(axis=None)
    assert "at 8,841,823 passages" in capsys.readouterr().out


def test_a_task_indexes_and_searches_as_the_workflow_does(tmp_path):
    bm25._save(tmp_path / "collection", 300, 13, 500)
    assert bm25.run("index", tmp_path) > 0 and bm25.run("search", tmp_path) > 0
    index = bm25.Bm25Index.load(tmp_path / "index")
    first = next(iter_documents(tmp_path / "collection"))
    assert index.search({"q": first.text}, 5, progress=False).rankings["q"][0][0] == "0"
    assert index.corpus is not None


def test_the_line_warns_above_the_limit():
    table = pd.DataFrame({"passages": [1, 2, 3], "terms": [5, 6, 6]})
    table = table.assign(index_peak_megabytes=[110, 120, 130], search_peak_megabytes=90)
    line = bm25.extended(table, 1000)
    assert line["index_peak_megabytes"] == pytest.approx(10_100)
    assert "terms" not in line
    assert bm25.warning(line) is None
    assert "10,100 MB at 1,000 passages are more than 10,000" in bm25.warning(line, 10_000)
    with pytest.raises(HeadRankError, match="two different numbers"):
        bm25.extended(table[:1])
    with pytest.raises(SystemExit):
        bm25.main(["500"])


def test_the_extrapolation_in_the_documentation_follows_from_its_table():
    page = (Path(__file__).parents[3] / "docs/scale.md").read_text()
    text = page.partition("## Passages: BM25")[2].partition("\n## ")[0]
    lines = [
        [cell.strip(" *") for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    measured = pd.DataFrame(
        [[float(cell.replace(",", "")) for cell in row] for row in lines[2:-1]],
        columns=["passages", "terms", "postings", "seconds", "index", "disk", "queries", "search"],
    )
    assert len(measured) == 3
    line = bm25.extended(measured)
    for column, cell in zip(("seconds", "index", "disk"), lines[-1][3:6], strict=True):
        assert float(cell.replace(",", "")) == pytest.approx(line[column], rel=0.01)
    assert f"{bm25.MS_MARCO:,}" == lines[-1][0] and f"{bm25.LIMIT:,} MB" in text


def half_reading(query):
    """Return a reading of two heads and three passages of two tokens."""
    query = np.array([query], np.float32)
    tokens = np.repeat(query / 2, 2, axis=-1)
    ends = np.array([2, 4, 6])
    return ListReading(
        "q",
        ("a", "b", "c"),
        query,
        calibration=np.zeros_like(query),
        spans=np.stack([ends - 2, ends], axis=1),
        contrast=tokens.sum((0, 1)),
        tokens=tokens,
    )


def test_sixteen_bits_lose_what_they_cannot_hold():
    # One head's masses lie below the smallest number of float16, the other's within 11 bits.
    lost = half_reading([[3e-8, 2e-8, 1e-8], [0.5, 0.25, 0.125]])
    close = half_reading([[0.30001, 0.30002, 0.2], [0.3, 0.3, 0.2]])
    rows = {
        (name, row["aggregation"]): row
        for name, store in halves.STORES.items()
        for row in halves.measure([lost, close], {"all": None}, store)
        if not row["calibrate"]
    }
    assert {row["lists"] for row in rows.values()} == {2}
    assert rows["float16", "mean-log-share"]["difference"] > 0.5
    assert rows["float16, scaled", "mean-log-share"]["difference"] < 0.001
    # Scores that 11 bits do not tell apart tie, and ties rank by the passage's id.
    assert rows["float16, scaled", "sum"]["changed"] == 1
    exact = half_reading([[0.5, 0.25, 0.125], [2.0**-20, 2.0**-22, 2.0**-24]])
    for store in (halves.plain, halves.scaled):
        assert all(
            row["changed"] == row["difference"] == 0
            for row in halves.measure([exact], {"all": None}, store)
        )
    assert len(list(halves.folds())) == 7
