"""A run can be traced by what it wrote, and its results can be checked."""

import importlib.metadata
import subprocess
import sys

import pytest
import yaml

from headrank import __version__
from headrank.io.files import read_json
from headrank.reading.readings import load_shards
from headrank.workflow.provenance.code_digest import code_digest
from headrank.workflow.provenance.process import git_state
from headrank.workflow.provenance.run_metadata import load_metadata
from tests.fault.experiment import without_model, write
from tests.workflow.running import ROOT, environment, snakemake

pytestmark = pytest.mark.slow


def verify(folder):
    return subprocess.run(
        [sys.executable, "-m", "headrank.cli", "verify", str(folder)],
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_finished_run_is_verified_until_a_file_changes(tmp_path):
    config = write(tmp_path, without_model)
    result = snakemake(tmp_path, config)
    assert result.returncode == 0, result.stdout
    known = read_json(tmp_path / "results/manifest.json")
    assert {"results/runs/exam/bm25.run", "results/tables/main.csv"} <= known["results"].keys()
    assert "results/sets/exam/queries.jsonl" in known["others"]
    assert known["failures"] == {}
    assert known["git"]["commit"]
    found = load_metadata(tmp_path / "results/runs/exam/bm25.ir_metadata.yaml")
    assert found["data"]["test collection"]["sha256"] == known["collections"]["food"]["sha256"]
    cmd = found["implementation"]["executable"]["cmd"]
    assert cmd == "snakemake --cores all --configfile config.yaml"
    checked = verify(tmp_path / "results")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "files are as noted" in checked.stdout

    # Paths are made of names: one that means something else now replaces what it led to.
    notice = "results/manifest.json notes another config: sets.exam.take: None -> 1. What these"
    said = snakemake(tmp_path, config, "-n").stdout
    assert "Nothing to be done" in said and "notes another config" not in said
    changed = yaml.safe_load(config.read_text())
    changed["sets"]["exam"]["take"] = 1
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(changed))
    assert notice in snakemake(tmp_path, other, "-n").stdout
    # In a folder named after all its settings it replaces nothing.
    changed["pathvars"] = {"results": "results-<config>", "logs": "logs/other"}
    other.write_text(yaml.safe_dump(changed))
    result = snakemake(tmp_path, other)
    assert result.returncode == 0, result.stdout
    assert "notes another config" not in result.stdout
    (folder,) = tmp_path.glob("results-*")
    noted = read_json(folder / "manifest.json")
    assert folder.name == f"results-{noted['config_sha256'][:12]}"
    assert f"{folder.name}/runs/exam/bm25.run" in noted["results"]
    assert (tmp_path / "logs/other/manifest.log").exists()
    for made in (folder, tmp_path / "results"):
        assert verify(made).returncode == 0, verify(made).stdout

    run = tmp_path / "results/runs/exam/bm25.run"
    run.write_text(run.read_text().replace(" 1 ", " 2 ", 1))
    (tmp_path / "resources/collections/food/corpus.jsonl").unlink()
    checked = verify(tmp_path / "results")
    assert checked.returncode == 1
    assert "changed  " in checked.stdout and "bm25.run: SHA-256 is" in checked.stdout
    assert "missing  " in checked.stdout and "food/corpus.jsonl" in checked.stdout
    assert "Traceback" not in checked.stderr


def on_any_device(config: dict) -> None:
    config["models"]["tiny"]["device"] = "auto"
    config["methods"]["cut"] = {"heads": "headrank", "aggregation": "log-sum", "truncated": True}
    config["experiment"]["methods"].append("cut")
    config["pathvars"] = {"results": "out", "logs": "told"}


def test_readings_adapters_and_metadata_tell_code_and_device(tmp_path, monkeypatch):
    """With no GPU in sight: `auto` is the CPU then, and nothing says anything else."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    config = write(tmp_path, on_any_device)
    sidecar = "out/runs/exam/tiny/own-1/shuffled/headrank.ir_metadata.yaml"
    result = snakemake(tmp_path, config, sidecar)
    assert result.returncode == 0, result.stdout
    assert not (tmp_path / "results").exists() and not (tmp_path / "logs").exists()
    shard = "exam/tiny/own-1/shuffled/0"
    (reading,) = load_shards([tmp_path / f"out/readings/{shard}.npz"])
    made = reading.meta["provenance"]
    card = read_json(tmp_path / "out/adapters/tiny/own-1/headrank.json")["provenance"]
    for found in (made, card):
        assert (found["headrank"], found["device"], found["gpu"]) == (__version__, "cpu", None)
        assert found["git"] == git_state(ROOT)
        assert found["versions"]["torch"] == importlib.metadata.version("torch")
    scripts = ROOT / "workflow/scripts"
    assert made["code"] == code_digest(scripts / "read_set.py", ROOT)
    assert card["code"] == code_digest(scripts / "align_heads.py", ROOT)
    log = (tmp_path / f"told/readings/{shard}.log").read_text()
    assert "device auto: no GPU is visible, the CPU" in log
    described = load_metadata(tmp_path / sidecar)
    (reader,) = described["headrank"]["read by"]
    assert reader == {key: made[key] for key in ("headrank", "code", "git", "device", "gpu")}
    assert described["headrank"]["device"] == "cpu"

    # A deployed path folds no reading: a card of its own tells the same.
    cut = load_metadata(tmp_path / "out/runs/exam/tiny/none/shuffled/cut.ir_metadata.yaml")
    (reader,) = cut["headrank"]["read by"]
    assert reader["code"] == code_digest(scripts / "rank_truncated.py", ROOT)
    assert (reader["device"], reader["gpu"], reader["git"]) == ("cpu", None, made["git"])
    assert "out/parts/exam/tiny/none/shuffled/cut/0.reader.json" in cut["headrank"]["made from"]
