"""Write the table of promotion out of the middle zone."""

from pathlib import Path

import pandas as pd

from headrank.joblog import job_log
from headrank.tables import middle_table


def main(rates: str, target: str, confidence: float, names: dict[str, str]) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    table = middle_table(pd.read_csv(rates), confidence=confidence, names=names)
    table.save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.output[0],
            snakemake.params.confidence,
            snakemake.params.names,
        )
