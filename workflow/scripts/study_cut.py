"""Count the documents that were cut before they were read."""

import itertools

import pandas as pd

from headrank.io.files import atomic
from headrank.reading.readings import cut_summary, load_shards
from headrank.workflow.script import run_job


def main(readings: list[str], shards: dict[str, int], target: str) -> None:
    """Write one row a set: documents of all lists, cut ones, and tokens of these.

    Args:
        readings: shards of all sets, one set behind the other.
        shards: how many each set has.
    """
    paths = iter(readings)
    rows = [
        {"set": name} | cut_summary(load_shards(list(itertools.islice(paths, number))))
        for name, number in shards.items()
    ]
    with atomic(target) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


if __name__ == "__main__":
    run_job(main, snakemake)
