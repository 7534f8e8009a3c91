"""Write the table of ablations."""

from pathlib import Path

import pandas as pd

from headrank.joblog import job_log
from headrank.tables import ablation_table


def main(differences: str, target: str, measure: str, confidence: float) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    table = ablation_table(pd.read_csv(differences), measure=measure, confidence=confidence)
    table.save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.output[0],
            snakemake.params.measure,
            snakemake.params.confidence,
        )
