"""Write the metadata of each run of a query set beside it."""

from itertools import chain

from headrank.io.files import cards, folder_of
from headrank.workflow.provenance.process import host
from headrank.workflow.provenance.readers import Part
from headrank.workflow.provenance.run_metadata import Shared, run_metadata, save_metadata
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
    # An object store's files lie under a folder of their own.
    root = folder_of(collections[0]).parents[2]
    shared = Shared(
        config,
        command,
        host(),
        models=cards(models, "headrank.json"),
        collections=cards(collections, "collection.json"),
        root=root,
    )
    # Many methods fold the same readings.
    parts = {path: Part.of(root / path) for path in dict.fromkeys(chain.from_iterable(made_from))}
    for values, run, paths in zip(cells, runs, made_from, strict=True):
        cell = dict(zip(CELL, values, strict=True))
        own = {path: parts[path] for path in paths}
        save_metadata(root / run, run_metadata(shared, cell, run, queries, own))


if __name__ == "__main__":
    run_job(main, snakemake)
