"""Which process made a file: the code, by version, commit and digest, packages, machine, device."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import headrank
from headrank.io.files import write_json
from headrank.models import versions
from headrank.models.devices import gpus

logger = logging.getLogger(__name__)
READER_SUFFIX = ".reader.json"
COMMIT = "HEADRANK_COMMIT"
REPOSITORY = Path(headrank.__file__).parents[1]
# What decides a number of a model, and what the other numbers, tables and figures come from.
PACKAGES = sorted(
    {
        *versions.PACKAGES,
        *("bm25s", "pandas", "pyarrow", "pytrec-eval-terrier", "scipy", "snakemake"),
    }
)
# Where a file that git does not know decides results: Python imports it, Snakemake includes it.
CODE = ("Snakefile", "headrank", "rules", "workflow", "benchmarks")


def source(repository: str | os.PathLike, code: str) -> dict[str, object]:
    """Return the code that makes a file: HeadRank's version, its commit and a digest.

    Args:
        repository: folder of the code.
        code: digest of the modules that decide the file's numbers. Of two files of one digest the
            commits may differ, as when text was changed in between.
    """
    return {"headrank": headrank.__version__, "code": code, "git": git_state(repository)}


def git_state(repository: str | os.PathLike) -> dict | None:
    """Return ``{commit, dirty}`` of a checkout; None if neither git nor the environment knows.

    Dirty are tracked files that differ from the commit, and untracked ones in the folders of the
    code. A user's own data or config beside the code changes none of it.

    An image holds no history, so whoever builds it names the commit in ``HEADRANK_COMMIT``, as
    ``git describe --always --abbrev=40 --dirty`` prints it. A checkout that git refuses to read (it
    belongs to another user, say) is logged.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", os.fspath(repository), *arguments],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        added = git("status", "--porcelain", "--untracked-files=normal", "--", *CODE)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed or added)}
    except (OSError, subprocess.CalledProcessError) as error:
        named = os.environ.get(COMMIT, "").strip()
        commit = named.removesuffix("-dirty")
        if commit:
            return {"commit": commit, "dirty": commit != named}
        told = getattr(error, "stderr", None) or ""
        if told and "not a git repository" not in told:
            logger.warning(
                "%s: git does not tell the commit (%s), so what is made now will not name it; mend "
                "what it says, or name the commit in %s",
                repository,
                told.strip().splitlines()[0],
                COMMIT,
            )
        return None


@dataclass(frozen=True)
class Host:
    """Where and with what the manifest and the metadata of runs are written.

    Attributes:
        git: as `git_state` returns it.
        machine: as `machine` returns it.
        packages: ``{package: version}`` of those of `PACKAGES` that are installed.
    """

    git: Mapping | None
    machine: Mapping[str, object]
    packages: Mapping[str, str]


def host() -> Host:
    """Return the code, machine and packages of this process."""
    packages = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            packages[name] = importlib.metadata.version(name)
    return Host(git_state(REPOSITORY), machine(), packages)


def machine() -> dict[str, object]:
    """Return the machine of this process; nothing that names its owner.

    ``gpus`` holds name and driver version of each GPU, and is empty where there is none.
    """
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "gpus": [{"name": gpu["name"], "driver": gpu["driver"]} for gpu in gpus()],
    }


def save_reader(
    run: str | os.PathLike,
    code: str,
    *,
    device: str,
    gpu: Mapping | None,
    cut: Mapping[str, int] | None = None,
) -> None:
    """Write beside a run which process ranked with a model, for its metadata.

    A run holds scores alone, and what describes it later may run in an environment without torch.

    Args:
        code: as in `source`.
        cut: how many documents were cut, as `headrank.reading.readings.cut_summary` counts.
        device, gpu: what the model stood on, and `headrank.models.devices.used_gpu` of it.
    """
    made = {
        **source(REPOSITORY, code),
        "device": device,
        "gpu": gpu,
        "versions": versions.versions(),
        **({} if cut is None else {"documents cut": dict(cut)}),
    }
    write_json(f"{os.fspath(run).removesuffix('.run')}{READER_SUFFIX}", made)
