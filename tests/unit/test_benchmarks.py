"""The benchmarks run, and count what they say they count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tiny_models as tiny

from benchmarks import memory, methods, prompting, reading
from benchmarks.material import bare_model, passages, some_heads
from headrank.figures.benchmarks import benchmarks
from headrank.speed import benchmark_table, load_benchmarks


def test_passages_are_drawn_once_for_all():
    first, second = passages(3, 7), passages(5, 7)
    assert first.passages == second.passages[:3]
    assert [len(p.text.split()) for p in second.passages] == [7] * 5


@pytest.mark.parametrize(("layers", "heads"), [(30, 9), (28, 16), (36, 32), (4, 4)])
def test_heads_end_at_the_share_of_the_depth(layers, heads):
    chosen = some_heads(layers, heads, count=min(8, heads))
    assert len(set(chosen.pairs)) == min(8, heads)
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
        "growth-float32": reading.growth(model, [2, 4], **small),
        "prompting": prompting.building(model, documents=5, **small),
        "methods-float32": methods.compare(model, documents=3, **small),
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
    assert len(benchmark_table(results, "tiny").rows) == 5 + 2 + 2 + 5
    benchmarks(results).draw_without_rendering()


@pytest.mark.slow
def test_memory_is_taken_in_processes_of_their_own():
    table = memory.peaks(tiny.folder("llama"), documents=3, words=4)
    assert isinstance(table, pd.DataFrame)
    assert table["case"].tolist() == [f"memory, {task}" for task in memory.TASKS]
    assert (table["megabytes"] > 100).all()
    assert table.loc[0, "ratio"] == 1
