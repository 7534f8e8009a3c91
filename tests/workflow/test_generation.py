"""Generative methods end to end, on a real model and real queries: few, and short documents."""

import json

import pandas as pd
import pytest
import yaml

from headrank.data.trec import Run
from headrank.models.versions import versions
from tests.workflow.running import planned, snakemake, tiny, workdir

TARGETS = ("table_formatting", "results/tables/main.csv")
FOLDERS = {"listwise": ("shuffled", "first-stage"), "pointwise": ("first-stage",)}


def asking(config: dict) -> None:
    """Turn the tiny experiment into one of two short lists, ranked by generation alone."""
    config["sets"] = {"tags": config["sets"]["tags"] | {"take": 2}}
    config["candidates"] = 3
    config["reading"] = {"shards": 1}
    config["methods"] = {
        "bm25": {"kind": "first-stage"},
        "listwise": {"kind": "generative", "protocol": "listwise", "window": 2, "stride": 1},
        "pointwise": {"kind": "generative", "protocol": "pointwise"},
    }
    config["experiment"]["methods"] = ["bm25", "listwise", "listwise+bm25", "pointwise"]
    config["evaluation"]["comparisons"] = [["listwise", "bm25"]]
    config["report"] = {"set": "tags"}
    for key in ("profiling", "selections", "alignments", "ablations"):
        config.pop(key)


def test_generative_methods_are_planned_as_others_are(tmp_path):
    jobs = planned(tmp_path / "work", tiny(tmp_path / "asking.yaml", asking), *TARGETS)
    # Two orders of listwise; pointwise has none, but runs as the others.
    assert jobs["generate"] == 2 + 1
    assert jobs["rank_by_generation"] == 2 * 2
    assert jobs["formatting_table"] == jobs["main_table"] == 1
    assert not jobs["read"]

    def sharded(config):
        asking(config)
        config["reading"]["shards"] = 2

    jobs = planned(tmp_path / "work", tiny(tmp_path / "sharded.yaml", sharded), *TARGETS)
    assert (jobs["generate"], jobs["rank_by_generation"]) == (2 * 3, 2 * 2)


def test_without_a_generative_method_the_table_says_what_is_missing(tmp_path):
    result = snakemake(tmp_path / "work", tiny(tmp_path / "tiny.yaml"), "table_formatting", "-n")
    assert result.returncode != 0
    assert "experiment.methods names no method of kind generative" in result.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return config and folder of one finished run."""
    folder = workdir(tmp_path_factory.mktemp("generation") / "finished")
    config = tiny(folder.parent / "asking.yaml", asking)
    result = snakemake(folder, config, *TARGETS)
    assert result.returncode == 0, result.stdout
    return config, folder


@pytest.mark.slow
def test_answers_runs_and_tables_agree(finished):
    _, folder = finished
    candidates = Run.load(folder / "results/sets/tags/candidates.run").rankings
    answers = 0
    for method, orders in FOLDERS.items():
        for order in orders:
            path = folder / f"results/generation/tags/smollm2/{order}/{method}/0.jsonl"
            first, *lists = map(json.loads, path.read_text().splitlines())
            assert first["settings"]["method"]["protocol"] == method
            assert first["settings"]["versions"] == versions()
            records = {found["query"]: found for found in lists}
            assert records.keys() == candidates.keys()
            run = Run.load(folder / f"results/runs/tags/smollm2/none/{order}/{method}.run")
            for query, found in records.items():
                assert set(found["documents"]) == {document for document, _ in candidates[query]}
                scores = dict(zip(found["documents"], found["scores"], strict=True))
                assert dict(run.rankings[query]) == scores
                assert found["passes"] == len(found["answers"]) == {"listwise": 2}.get(method, 3)
                answers += len(found["answers"])
    counts = pd.read_csv(folder / "results/tables/formatting/smollm2.csv")
    assert counts["answers"].sum() == answers
    table = pd.read_csv(folder / "results/tables/main-wide.csv").set_index("method")
    joined = counts.groupby("method")[["answers", "well_formed"]].sum()
    for method, label in (("listwise", "Listwise generation"), ("pointwise", "Pointwise yes/no")):
        share = joined.loc[method, "well_formed"] / joined.loc[method, "answers"]
        assert table.loc[label, "well_formed"] == pytest.approx(100 * share)
    # Order has no say where each passage is asked about alone.
    orders = ["tags.shuffled", "tags.first-stage"]
    assert table.loc["Pointwise yes/no", orders].nunique() == 1
    assert not list((folder / "results/checkpoints").rglob("*.jsonl"))


@pytest.mark.slow
def test_what_was_asked_is_asked_again_only_if_it_changed(finished, tmp_path):
    config, folder = finished
    assert not planned(folder, config, *TARGETS)
    changed = yaml.safe_load(config.read_text())
    changed["methods"]["listwise"]["window"] = 3
    changed["prompt"]["instruction"] = "Which passage is it?"  # of the readings alone
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(changed, sort_keys=False))
    jobs = planned(folder, path, *TARGETS)
    assert jobs["generate"] == jobs["rank_by_generation"] == 2
