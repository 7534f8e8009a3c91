"""Write the metadata of each run of a query set beside it."""

from collections import Counter
from pathlib import Path

import headrank
from headrank.io.files import cards, folder_of, sha256
from headrank.workflow.job import job_log
from headrank.workflow.provenance.manifest import PACKAGES, machine, versions
from headrank.workflow.provenance.process import git_state
from headrank.workflow.provenance.run_metadata import (
    cut_of,
    distinct,
    reader_of,
    run_metadata,
    save_metadata,
)

CELL = ("set", "model", "adapter", "order", "method")


def main(
    root: Path,
    config: dict,
    cells: list,
    runs: list[str],
    queries: str,
    made_from: list[list[str]],
    command: str,
    models: dict[str, Path],
    collections: dict[str, Path],
) -> None:
    """Write one file a run.

    Args:
        root: the folder that the names of runs and ``made_from`` count from.
        made_from: by run, the files that it was folded from.
        command: the call that makes the experiment.
        models, collections: cards by name.
    """
    repository = Path(headrank.__file__).parents[1]
    host = {"git": git_state(repository), "machine": machine(), "packages": versions(PACKAGES)}
    # Many methods fold the same readings.
    hashes = {
        path: sha256(root / path) for path in sorted({p for paths in made_from for p in paths})
    }
    readers = {path: reader_of(root / path) for path in hashes}
    cuts = {path: cut_of(root / path) for path in hashes}
    for values, run, parts in zip(cells, runs, made_from, strict=True):
        cell = dict(zip(CELL, values, strict=True))
        method = config["methods"][cell["method"].partition("+")[0]]
        model = cell["model"] if cell["model"] != "-" else method.get("encoder")
        metadata = run_metadata(
            root / run,
            cell,
            config,
            name=run,
            queries=queries,
            model=models.get(model),
            collection=collections[config["sets"][cell["set"]]["collection"]],
            made_from={path: hashes[path] for path in parts},
            command=command,
            host=host,
            readers=distinct(readers[path] for path in parts),
            cut=sum((Counter(cuts[path]) for path in parts), Counter()),
        )
        save_metadata(root / run, metadata)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            # An object store's files lie under a folder of their own.
            folder_of(snakemake.input.collections[0]).parents[2],
            snakemake.params.config,
            snakemake.params.cells,
            snakemake.params.runs,
            snakemake.input.queries,
            snakemake.params.made_from,
            snakemake.params.command,
            cards(snakemake.input.models, "headrank.json"),
            cards(snakemake.input.collections, "collection.json"),
        )
