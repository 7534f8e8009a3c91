"""Bring one collection into our layout, from whatever source the config declares."""

from pathlib import Path

from headrank.collections.build import build_from_source
from headrank.io.folders import COLLECTION, set_aside
from headrank.workflow.job import job_log


def main(source: dict, origins: list[str], target: Path) -> None:
    """Write the collection's folder after every check."""
    set_aside(target, COLLECTION)
    build_from_source(source, origins, target)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.params.source,
            list(snakemake.input),
            Path(snakemake.output.get("folder") or Path(snakemake.output[0]).parent),
        )
