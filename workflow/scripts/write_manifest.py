"""Write down what the results were made with."""

from pathlib import Path

import headrank
from headrank.files import write_json
from headrank.joblog import job_log
from headrank.manifest import manifest


def main(
    config: dict,
    models: list[str],
    collections: list[str],
    results: list[str],
    runs: dict[str, str],
    target: str,
) -> None:
    """Write the manifest as JSON; ``runs`` names the queries of each run's set."""
    named = {
        "models": {Path(path).parent.name: path for path in models},
        "collections": {Path(path).parent.name: path for path in collections},
    }
    noted = manifest(
        config,
        **named,
        results=results,
        runs=runs,
        folder=Path(target).parent,
        repository=Path(headrank.__file__).parents[1],
    )
    write_json(target, noted)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.params.config,
            list(snakemake.input.models),
            list(snakemake.input.collections),
            [
                *snakemake.input.adapters,
                *snakemake.input.runs,
                *snakemake.input.metadata,
                *snakemake.input.results,
            ],
            dict(zip(snakemake.input.runs, snakemake.params.queries, strict=True)),
            snakemake.output[0],
        )
