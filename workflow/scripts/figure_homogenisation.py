"""Draw relevance and its spread along the prompt."""

from pathlib import Path

import pandas as pd

from headrank import labels
from headrank.figures import homogenisation, save
from headrank.joblog import job_log


def main(positions: str, target: str, names: dict[str, str]) -> None:
    """Write PDF and PNG, one panel a method."""
    systems = {
        labels.label(method, names): part
        for method, part in pd.read_csv(positions).groupby("system", sort=False)
    }
    save(homogenisation(systems), Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(snakemake.input.positions, snakemake.output.pdf, snakemake.params.names)
