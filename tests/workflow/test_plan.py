"""What Snakemake plans, and what it refuses before any job."""

import re

import pytest
import yaml

from tests.workflow.running import ROOT, planned, snakemake, tiny

DEMO = ROOT / "config/config.yaml"


def test_demo_is_planned(tmp_path):
    demo = yaml.safe_load(DEMO.read_text())
    jobs = planned(tmp_path / "work", DEMO, "--strict-dag-evaluation", "cyclic-graph")
    experiment, orders = demo["experiment"], demo["orders"]
    used = [demo["methods"][name] for name in experiment["methods"] if "+" not in name]
    folds = [method for method in used if "heads" in method]
    trained = {method["adapter"] for method in folds if "adapter" in method}
    seeds = {name: len(demo["alignments"][name]["seeds"]) for name in trained}
    cells = len(experiment["sets"]) * len(orders)
    readings = cells * (1 + sum(seeds.values())) + len(demo["profiling"]["sets"])
    assert jobs["read"] == demo["reading"]["shards"] * readings
    assert jobs["align"] == sum(seeds.values())
    assert jobs["rank_by_attention"] == cells * sum(
        seeds.get(method.get("adapter"), 1) for method in folds
    )
    assert jobs["fetch_archive"] == 5


def test_ablations_and_benchmarks_are_planned(tmp_path):
    demo = yaml.safe_load(DEMO.read_text())
    jobs = planned(tmp_path / "work", DEMO, "ablations")
    trained = [f for f in demo["ablations"].values() if f["key"].startswith("alignment.")]
    seeds = len(demo["alignments"]["insuranceqa"]["seeds"])
    assert jobs["align"] == seeds * (1 + sum(len(f["values"]) for f in trained))
    assert jobs["rank_truncated"] == 1
    assert planned(tmp_path / "other", DEMO, "benchmarks")["benchmark"] == 7


def test_a_config_file_replaces_the_demo(tmp_path):
    jobs = planned(tmp_path / "work", tiny(tmp_path / "tiny.yaml"))
    assert jobs["collection"] == 1
    assert jobs["read"] == 10


BROKEN = [
    (lambda c: c.update(sead=1), "sead is not a key; allowed: seed,"),
    (lambda c: c["sets"]["tags"].update(role="test"), "sets.tags.role is 'test'; allowed: evalu"),
    (lambda c: c["methods"]["core"].update(heads="kore"), "methods.core.heads is 'kore'"),
    (lambda c: c.update(candidates=50), "candidates is 50; allowed: at most first_stage.depth, 20"),
]


@pytest.mark.parametrize("change, message", BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_config_starts_no_job(tmp_path, change, message):
    result = snakemake(tmp_path / "work", tiny(tmp_path / "tiny.yaml", change))
    assert result.returncode != 0
    assert message in result.stdout
    assert "Traceback" not in result.stdout
    assert not re.search(r"^Job \d|^rule ", result.stdout, re.M)
    assert not (tmp_path / "work/results").exists()


def test_a_missing_folder_of_the_user_is_named(tmp_path):
    def change(config):
        config["collections"]["semanlink"] = {"source": {"kind": "local", "path": "no/folder"}}

    result = snakemake(tmp_path / "work", tiny(tmp_path / "tiny.yaml", change))
    assert result.returncode != 0
    assert "no/folder/corpus.jsonl" in result.stdout
