"""Evaluate selected heads, the best layer-0 head and a random ranking in each prompt order."""

from pathlib import Path

from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels
from headrank.evaluation.head_controls import Measurement, head_controls
from headrank.io.files import atomic
from headrank.options.fold import Fold
from headrank.reading.arranged import load_in_order
from headrank.workflow.script import run_job


def main(
    qrels: str,
    heads: str,
    target: str,
    orders: dict[str, list[str]],
    fold: dict,
    options: dict,
) -> None:
    """Write one row an order and system; ``orders`` has the readings of each."""
    # An object store's files lie under a folder of their own.
    root = Path(qrels).parents[3]
    shards = {
        order: load_in_order([root / path for path in paths], order, options["seed"])
        for order, paths in orders.items()
    }
    selected = HeadSet.load(heads)
    table = head_controls(shards, Qrels.load(qrels), selected, Fold(**fold), Measurement(**options))
    with atomic(target) as temporary:
        table.to_csv(temporary, index=False)


if __name__ == "__main__":
    run_job(main, snakemake)
