"""Write down what the results were made with."""

from pathlib import Path

import headrank
from headrank.io.files import cards, write_json
from headrank.workflow.job import job_log
from headrank.workflow.provenance.manifest import manifest


def main(
    config: dict,
    models: dict[str, Path],
    collections: dict[str, Path],
    results: list[str],
    runs: dict[str, str],
    target: str,
    originals: dict | None,
    partial: bool,
) -> None:
    """Write the manifest as JSON; ``runs`` names the queries of each run's set."""
    noted = manifest(
        config,
        models=models,
        collections=collections,
        results=results,
        runs=runs,
        folder=Path(target).parent,
        repository=Path(headrank.__file__).parents[1],
        originals=originals,
        partial=partial,
    )
    write_json(target, noted)


if __name__ == "__main__":
    # An object store's files lie under a folder of their own.
    root = Path(snakemake.output[0]).parents[1]
    with job_log(snakemake.log[0]):
        main(
            snakemake.params.config,
            cards(snakemake.input.models, "headrank.json"),
            cards(snakemake.input.collections, "collection.json"),
            [
                *snakemake.input.adapters,
                *snakemake.input.runs,
                *snakemake.input.metadata,
                *snakemake.input.results,
            ],
            {
                run: root / queries
                for run, queries in zip(snakemake.input.runs, snakemake.params.queries, strict=True)
            },
            snakemake.output[0],
            snakemake.params.own,
            snakemake.params.partial,
        )
