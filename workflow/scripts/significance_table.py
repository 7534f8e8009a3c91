"""Write the table of the declared comparisons."""

from pathlib import Path

import pandas as pd

from headrank.joblog import job_log
from headrank.tables import significance_table


def main(comparisons: str, target: str, confidence: float, names: dict[str, str]) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    table = significance_table(pd.read_csv(comparisons), confidence=confidence, names=names)
    table.save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.output[0],
            snakemake.params.confidence,
            snakemake.params.names,
        )
