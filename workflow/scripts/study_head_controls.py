"""Evaluate selected heads, the best layer-0 head and a random ranking in each prompt order."""

from pathlib import Path

from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels
from headrank.evaluation.head_controls import head_controls
from headrank.io.files import atomic
from headrank.options.fold import Fold
from headrank.reading.readings import load_shards
from headrank.workflow.job import job_log


def main(
    readings: list[str],
    qrels: str,
    heads: str,
    target: str,
    orders: list[str],
    fold: dict,
    options: dict,
) -> None:
    """Write one row an order and system."""
    shards = {
        order: load_shards([path for path in readings if Path(path).parent.name == order])
        for order in orders
    }
    table = head_controls(shards, Qrels.load(qrels), HeadSet.load(heads), Fold(**fold), **options)
    with atomic(target) as temporary:
        table.to_csv(temporary, index=False)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            list(snakemake.input.readings),
            snakemake.input.qrels,
            snakemake.input.heads[0],
            snakemake.output[0],
            snakemake.params.orders,
            snakemake.params.fold,
            snakemake.params.options,
        )
