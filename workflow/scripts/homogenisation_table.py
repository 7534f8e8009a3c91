"""Write the table of relevance and its spread along the prompt."""

from pathlib import Path

import pandas as pd

from headrank.joblog import job_log
from headrank.tables import homogenisation_table


def main(
    positions: str, spread: str, target: str, confidence: float, names: dict[str, str]
) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    table = homogenisation_table(
        pd.read_csv(positions), pd.read_csv(spread), confidence=confidence, names=names
    )
    table.save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input.positions,
            snakemake.input.spread,
            snakemake.output[0],
            snakemake.params.confidence,
            snakemake.params.names,
        )
