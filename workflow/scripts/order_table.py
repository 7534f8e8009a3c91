"""Write the table of prompt orders."""

from pathlib import Path

import pandas as pd

from headrank.joblog import job_log
from headrank.tables import Layout, order_table


def main(per_query: str, target: str, layout: dict, **options) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    table = order_table(pd.read_parquet(per_query), Layout(**layout), **options)
    table.save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.output[0],
            snakemake.params.layout,
            measure=snakemake.params.measure,
            confidence=snakemake.params.confidence,
            seed=snakemake.params.seed,
        )
