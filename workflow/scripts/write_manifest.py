"""Write down what the results were made with."""

from pathlib import Path

from headrank.io.files import cards, write_json
from headrank.workflow.provenance.manifest import Files, manifest
from headrank.workflow.provenance.process import host
from headrank.workflow.script import run_job


def main(
    config: dict,
    models: list[str],
    collections: list[str],
    runs: list[str],
    others: list[str],
    queries: list[str],
    target: Path,
    own: dict | None,
    partial: bool,
) -> None:
    """Write the manifest as JSON; ``queries`` are those of each run's set."""
    # An object store's files lie under a folder of their own.
    root = target.parents[1]
    files = Files(
        models=cards(models, "headrank.json"),
        collections=cards(collections, "collection.json"),
        results=[*runs, *others],
        runs={run: root / asked for run, asked in zip(runs, queries, strict=True)},
        folder=target.parent,
        partial=partial,
    )
    write_json(target, manifest(config, files, host(), own))


if __name__ == "__main__":
    run_job(main, snakemake)
