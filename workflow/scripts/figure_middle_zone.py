"""Draw promotion out of the middle zone."""

from pathlib import Path

import pandas as pd

from headrank.figures import middle_zone, save
from headrank.joblog import job_log


def main(rates: str, target: str, names: dict[str, str]) -> None:
    """Write PDF and PNG."""
    save(middle_zone(pd.read_csv(rates), names=names), Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(snakemake.input[0], snakemake.output.pdf, snakemake.params.names)
