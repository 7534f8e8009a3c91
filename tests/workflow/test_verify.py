"""A run can be traced by what it wrote, and its results can be checked."""

import subprocess
import sys

import pytest

from headrank.files import read_json
from headrank.irmetadata import load_metadata
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

    run = tmp_path / "results/runs/exam/bm25.run"
    run.write_text(run.read_text().replace(" 1 ", " 2 ", 1))
    (tmp_path / "resources/collections/food/corpus.jsonl").unlink()
    checked = verify(tmp_path / "results")
    assert checked.returncode == 1
    assert "changed  " in checked.stdout and "bm25.run: SHA-256 is" in checked.stdout
    assert "missing  " in checked.stdout and "food/corpus.jsonl" in checked.stdout
    assert "Traceback" not in checked.stderr
