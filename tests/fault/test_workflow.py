"""Locks, two runs at once, damaged readings and wrong clocks, in real runs."""

import os
import subprocess
import time

import pytest

from headrank.io.files import sha256
from tests.fault.experiment import TARGETS, without_model, write
from tests.workflow.running import ROOT, command, copy_of, environment, kill_when, snakemake

pytestmark = pytest.mark.slow
RUN = "results/runs/exam/bm25.run"
READING = "results/readings/exam/tiny/none/shuffled/0.npz"
RANKED = "results/runs/exam/tiny/none/shuffled/headrank-untuned.run"


def begun(folder):
    """Return whether a first job of a run is at work."""
    return (folder / "logs/collections/food.log").exists()


def test_the_lock_of_a_killed_run_is_told_and_lifted(tmp_path):
    config = write(tmp_path, without_model)
    kill_when(tmp_path, config, lambda: begun(tmp_path), RUN)
    result = snakemake(tmp_path, config, RUN)
    assert result.returncode != 0
    assert "--unlock" in result.stdout
    assert not (tmp_path / RUN).exists()
    assert snakemake(tmp_path, config, "--unlock").returncode == 0
    assert snakemake(tmp_path, config, RUN).returncode == 0
    assert (tmp_path / RUN).exists()


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_goes_on(tmp_path):
    config = write(tmp_path, without_model)
    first = subprocess.Popen(
        command(tmp_path, config, RUN),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        end = time.monotonic() + 120
        while not begun(tmp_path):
            assert first.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        second = snakemake(tmp_path, config, RUN)
        assert second.returncode != 0
        assert "cannot be locked" in second.stdout and "--unlock" in second.stdout
        output, _ = first.communicate(timeout=300)
        assert first.returncode == 0, output
    finally:
        first.kill()
    assert len((tmp_path / RUN).read_text().splitlines()) == 4 * 2


def test_a_damaged_reading_stops_the_ranking_and_is_read_again(finished, tmp_path):
    folder = copy_of(finished, tmp_path / "damaged")
    before = sha256(folder / RANKED)
    (folder / RANKED).unlink()
    reading = folder / READING
    times = reading.stat()
    data = bytearray(reading.read_bytes())
    # A fold loads what it needs: the damage is in the scores that this method joins.
    data[data.index(b"query.0.npy") + 200] ^= 1
    reading.write_bytes(data)
    # As a disk does it: the time of last change stays.
    os.utime(reading, ns=(times.st_atime_ns, times.st_mtime_ns))
    result = snakemake(folder, folder / "config.yaml", RANKED)
    assert result.returncode != 0
    assert "the reading is damaged" in result.stdout
    assert "delete it and read again" in result.stdout
    assert not (folder / RANKED).exists()
    reading.unlink()
    result = snakemake(folder, folder / "config.yaml", RANKED)
    assert result.returncode == 0, result.stdout
    assert sha256(folder / RANKED) == before


def test_inputs_of_tomorrow_change_no_number(finished, tmp_path):
    folder = copy_of(finished, tmp_path / "clock")
    before = {name: sha256(folder / name) for name in (RANKED, *TARGETS)}
    tomorrow = time.time() + 86400
    os.utime(folder / "given/food/corpus.jsonl", (tomorrow, tomorrow))
    result = snakemake(folder, folder / "config.yaml", *TARGETS)
    assert result.returncode == 0, result.stdout
    assert {name: sha256(folder / name) for name in before} == before


def test_results_of_tomorrow_are_refused_before_they_hide_a_change(finished, tmp_path):
    """Snakemake takes a newer file for finished, whatever its input holds now."""
    folder = copy_of(finished, tmp_path / "clock")
    tomorrow = time.time() + 86400
    os.utime(folder / RANKED, (tomorrow, tomorrow))
    result = snakemake(folder, folder / "config.yaml", *TARGETS)
    assert result.returncode != 0
    assert f"{RANKED}: last changed in the future" in result.stdout
    assert "delete it" in result.stdout and "touch" in result.stdout
    assert "Traceback" not in result.stdout
    (folder / RANKED).unlink()
    result = snakemake(folder, folder / "config.yaml", RANKED)
    assert result.returncode == 0, result.stdout
