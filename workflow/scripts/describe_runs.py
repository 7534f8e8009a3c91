"""Write the metadata of each run of a query set beside it."""

from pathlib import Path

import headrank
from headrank.files import sha256
from headrank.irmetadata import run_metadata, save_metadata
from headrank.joblog import job_log
from headrank.manifest import PACKAGES, git_state, machine, versions

CELL = ("set", "model", "adapter", "order", "method")


def main(
    config: dict,
    cells: list,
    runs: list[str],
    queries: str,
    made_from: list[list[str]],
    command: str,
    models: dict[str, str],
    collections: dict[str, str],
) -> None:
    """Write one file a run.

    Args:
        made_from: by run, the files that it was folded from.
        command: the call that makes the experiment.
        models, collections: cards by name.
    """
    repository = Path(headrank.__file__).parents[1]
    host = {"git": git_state(repository), "machine": machine(), "packages": versions(PACKAGES)}
    # Many methods fold the same readings.
    hashes = {path: sha256(path) for path in sorted({p for paths in made_from for p in paths})}
    for values, run, parts in zip(cells, runs, made_from, strict=True):
        cell = dict(zip(CELL, values, strict=True))
        method = config["methods"][cell["method"].partition("+")[0]]
        model = cell["model"] if cell["model"] != "-" else method.get("encoder")
        metadata = run_metadata(
            run,
            cell,
            config,
            queries=queries,
            model=models.get(model),
            collection=collections[config["sets"][cell["set"]]["collection"]],
            made_from={path: hashes[path] for path in parts},
            command=command,
            host=host,
        )
        save_metadata(run, metadata)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.params.config,
            snakemake.params.cells,
            list(snakemake.input.runs),
            snakemake.input.queries,
            snakemake.params.made_from,
            snakemake.params.command,
            {Path(path).parent.name: path for path in snakemake.input.models},
            {Path(path).parent.name: path for path in snakemake.input.collections},
        )
