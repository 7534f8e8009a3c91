"""The manifest: what an experiment's results were made with, so that each can be traced."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import headrank
from headrank.files import read_json, sha256

PACKAGES = (
    "bm25s",
    "numpy",
    "pandas",
    "peft",
    "pyarrow",
    "pytrec-eval-terrier",
    "scipy",
    "snakemake",
    "tokenizers",
    "torch",
    "transformers",
)


def manifest(
    config: Mapping,
    *,
    models: Mapping[str, str | os.PathLike],
    collections: Mapping[str, str | os.PathLike],
    results: Sequence[str | os.PathLike],
    repository: str | os.PathLike,
) -> dict:
    """Return the provenance of an experiment: code, config, versions and hashes.

    Args:
        config: complete, with its defaults filled in.
        models, collections: ``{name: its own provenance file}`` (JSON).
        results: files whose SHA-256 is noted.
        repository: folder of the code.
    """
    return {
        "headrank": headrank.__version__,
        "git": git_state(repository),
        "machine": {"python": platform.python_version(), "platform": platform.platform()},
        "packages": versions(PACKAGES),
        "config": dict(config),
        "models": {name: read_json(path) for name, path in models.items()},
        "collections": {name: read_json(path) for name, path in collections.items()},
        "results": {Path(path).as_posix(): sha256(path) for path in results},
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the version of each package that is installed here."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_state(repository: str | os.PathLike) -> dict | None:
    """Return ``{commit, dirty}`` of a checkout; None outside of one or without git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", os.fspath(repository), *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None
