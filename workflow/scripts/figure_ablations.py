"""Draw what each ablated setting changes."""

from pathlib import Path

import pandas as pd

from headrank.figures import ablation, save
from headrank.joblog import job_log


def main(differences: str, target: str, measure: str, alpha: float) -> None:
    """Write PDF and PNG."""
    figure = ablation(pd.read_csv(differences), measure=measure, alpha=alpha)
    save(figure, Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.output.pdf,
            snakemake.params.measure,
            snakemake.params.alpha,
        )
