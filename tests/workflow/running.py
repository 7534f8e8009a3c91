"""Runs of the real workflow in folders of their own."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path

import yaml

from tests.workflow import snakemake_server
from tests.workflow.snakemake_server import ROOT, TINY


def environment() -> dict[str, str]:
    """Return the environment of a run: this interpreter's programs first, quiet threads."""
    programs = str(Path(sys.executable).parent)
    return os.environ | {
        "PATH": programs + os.pathsep + os.environ["PATH"],
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
    }


def command(
    folder: Path, config: Path | list[Path], *arguments: str, cores: int | None = 2
) -> list[str]:
    """Return the call of Snakemake that works in ``folder``; several configs are merged."""
    configs = config if isinstance(config, list) else [config]
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        # Behind a config file a target would be read as one more of them.
        *("--directory", str(folder), *arguments, "--configfile", *map(str, configs)),
        *(() if cores is None else ("--cores", str(cores))),
    ]


def snakemake(
    folder: Path,
    config: Path | list[Path],
    *arguments: str,
    cores: int | None = 2,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess:
    """Run Snakemake to its end, with more variables; stdout and stderr are joined."""
    program = [sys.executable, "-m", "snakemake"]
    whole = command(folder, config, *arguments, cores=cores)
    assert whole[: len(program)] == program
    return snakemake_server.run(whole[len(program) :], environment() | dict(env or {}))


def workdir(folder: Path) -> Path:
    """Return a new working folder that shares the repository's downloads and models."""
    folder.mkdir(parents=True)
    (ROOT / "resources").mkdir(exist_ok=True)
    (folder / "resources").symlink_to(ROOT / "resources")
    return folder


def copy_of(finished: Path, target: Path) -> Path:
    """Return a copy of a finished run, with its times and its Snakemake records."""
    shutil.copytree(finished, target, symlinks=True)
    return target


def tiny(target: Path, change: Callable[[dict], object] | None = None) -> Path:
    """Write the tiny config, changed; return its path."""
    config = deepcopy(yaml.safe_load(TINY.read_text()))
    if change is not None:
        change(config)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml.safe_dump(config, sort_keys=False))
    return target


def planned(folder: Path, config: Path | list[Path], *arguments: str) -> Counter[str]:
    """Return how many jobs of each rule a dry run plans."""
    result = snakemake(folder, config, *arguments, "--dry-run", "--quiet", "rules")
    assert result.returncode == 0, result.stdout
    if "Nothing to be done" in result.stdout:
        return Counter()
    table = result.stdout[result.stdout.index("count") :]
    jobs = Counter({name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.M)})
    del jobs["total"], jobs["all"]
    return jobs


def unrecorded(folder: Path) -> set[str]:
    """Return the files, whole or not, of jobs that Snakemake began and did not record as done."""
    marks = (folder / ".snakemake/incomplete").iterdir()
    return {base64.urlsafe_b64decode(mark.name).decode() for mark in marks}


def kill_when(
    folder: Path, config: Path, ready: Callable[[], bool], *arguments: str, seconds: float = 600
) -> None:
    """Start a run and end it, with all its jobs, by SIGKILL once ``ready`` is true."""
    process = subprocess.Popen(
        command(folder, config, *arguments),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + seconds
        while not ready():
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < end, "the run never came so far"
            time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
