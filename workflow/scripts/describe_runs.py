"""Write the metadata of each run of a query set beside it."""

from collections import Counter
from pathlib import Path

import headrank
from headrank.io.files import cards, folder_of, sha256
from headrank.workflow.provenance.manifest import PACKAGES, machine, versions
from headrank.workflow.provenance.process import git_state
from headrank.workflow.provenance.run_metadata import (
    cut_of,
    distinct,
    reader_of,
    run_metadata,
    save_metadata,
)
from headrank.workflow.script import run_job

CELL = ("set", "model", "adapter", "order", "method")


def main(
    config: dict,
    cells: list,
    runs: list[str],
    queries: str,
    made_from: list[list[str]],
    command: str,
    models: list[str],
    collections: list[str],
) -> None:
    """Write one file a run.

    Args:
        runs: their names, and in ``made_from`` by run those of the files that it was folded from.
        command: the call that makes the experiment.
        models, collections: their cards, or their folders.
    """
    model_cards = cards(models, "headrank.json")
    collection_cards = cards(collections, "collection.json")
    # An object store's files lie under a folder of their own.
    root = folder_of(collections[0]).parents[2]
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
            model=model_cards.get(model),
            collection=collection_cards[config["sets"][cell["set"]]["collection"]],
            made_from={path: hashes[path] for path in parts},
            command=command,
            host=host,
            readers=distinct(readers[path] for path in parts),
            cut=sum((Counter(cuts[path]) for path in parts), Counter()),
        )
        save_metadata(root / run, metadata)


if __name__ == "__main__":
    run_job(main, snakemake)
