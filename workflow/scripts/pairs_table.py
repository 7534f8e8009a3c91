"""Write the table of preference pairs by grade boundary."""

from pathlib import Path

import pandas as pd

from headrank.joblog import job_log
from headrank.tables import pairs_table


def main(summary: str, target: str) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    pairs_table(pd.read_csv(summary)).save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(snakemake.input[0], snakemake.output[0])
