"""The workflow in an object store, where nothing travels but what rules declare."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headrank.workflow.provenance.verify import verify_results
from tests.cluster import storage
from tests.fault.experiment import write
from tests.workflow.running import snakemake

pytestmark = pytest.mark.slow

# What holds a time or a duration; the manifest and the metadata name the hashes of such files.
TIMED = re.compile(
    r"results/(benchmarks|latency|tables/latency|manifest\.json)|quality_latency|ir_metadata"
)
OPTIONS = ("--default-storage-provider", "s3", "--default-storage-prefix", storage.PREFIX)


MARKS = {".snakemake_timestamp", ".headrank.json", ".originals.json"}
CURVE = "results/figures/tiny/learning_curve.png"


def whole(config: dict) -> None:
    """Change the experiment to one with a report of its heads; lists of its queries are short."""
    config["candidates"] = 2
    config["report"] = {"method": "headrank-untuned"}


def followed(config: dict) -> None:
    """Change it to one that draws a learning curve besides."""
    whole(config)
    config["report"]["learning_curve"] = ["headrank"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    reason = storage.obstacle()
    if reason:
        pytest.skip(reason)
    with storage.running(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """Return the folder of the same experiment on a disk."""
    folder = tmp_path_factory.mktemp("disk")
    config = write(folder, whole)
    (folder / "followed").mkdir()
    write(folder / "followed", followed)
    for arguments in ((config,), (folder / "followed/config.yaml", CURVE)):
        result = snakemake(folder, *arguments)
        assert result.returncode == 0, result.stdout
    return folder


def stored(store, folder: Path, config: Path, *arguments: str) -> str:
    """Run the workflow from a folder that holds nothing; return what it says."""
    folder.mkdir(exist_ok=True)
    result = snakemake(folder, config, *OPTIONS, *arguments, env=store.environment)
    assert result.returncode == 0, result.stdout
    return result.stdout


def files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of results and resources, without marks of a disk alone.

    Snakemake's own, and what no rule declares: lists of a folder's files, hashes of a user's.
    """
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for part in ("results", "resources")
        for path in (folder / part).rglob("*")
        if path.is_file() and path.name not in MARKS
    }


def test_a_store_gives_the_bytes_of_a_disk_and_a_second_folder_finds_them(store, local, tmp_path):
    config = local / "config.yaml"
    store.upload(local / "given", "tiny/given")
    said = stored(store, tmp_path / "first", config)
    assert "Removing local copy of storage file" in said
    # Nothing is left to run from but the store.
    assert not [path for path in (tmp_path / "first/results").rglob("*") if path.is_file()]
    assert "Nothing to be done" in stored(store, tmp_path / "second", config)
    said = stored(store, tmp_path / "second", local / "followed/config.yaml", CURVE)
    assert "1 of 1 steps (100%) done" in said
    store.download("tiny", tmp_path / "down")
    made, expected = files(tmp_path / "down"), files(local)
    assert made.keys() == expected.keys()
    assert {"resources/models/tiny/model.safetensors", "results/claims.md"} <= made.keys()
    different = [n for n in made if made[n] != expected[n] and not TIMED.search(n)]
    assert not different
    # Names are those of a disk: none leads into the folder where Snakemake keeps its copies.
    assert not [n for n, data in made.items() if b".snakemake/storage" in data]
    found = verify_results(tmp_path / "down/results")
    assert found.sound and found.checked > 50, found
