"""Bring one collection into our layout, from whatever source the config declares."""

from headrank.collections.build import build_from_source
from headrank.io.folders import COLLECTION, set_aside
from headrank.workflow.script import Folder, run_job


def main(source: dict, origins: list[str], target: Folder) -> None:
    """Write the collection's folder after every check."""
    set_aside(target, COLLECTION)
    build_from_source(source, origins, target)


if __name__ == "__main__":
    run_job(main, snakemake)
