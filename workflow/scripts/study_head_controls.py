"""Evaluate selected heads, the best layer-0 head and a random ranking in each prompt order."""

from pathlib import Path

from headrank.files import atomic
from headrank.heads import HeadSet
from headrank.headstudy import head_controls
from headrank.joblog import job_log
from headrank.methods import Fold
from headrank.reading import load_shards
from headrank.trec import Qrels


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
