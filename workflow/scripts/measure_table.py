"""Write the table of all measures in one prompt order."""

from pathlib import Path

import pandas as pd

from headrank.joblog import job_log
from headrank.tables import Layout, measure_table


def main(per_query: str, target: str, layout: dict, measures: list[str], order: str) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    table = measure_table(
        pd.read_parquet(per_query), Layout(**layout), measures=measures, order=order
    )
    table.save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.output[0],
            snakemake.params.layout,
            snakemake.params.measures,
            snakemake.params.order,
        )
