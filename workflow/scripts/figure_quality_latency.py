"""Draw effectiveness against the cost of a query."""

from pathlib import Path

import pandas as pd

from headrank.figures import quality_latency, save
from headrank.joblog import job_log


def main(points: str, target: str, measure: str, names: dict[str, str]) -> None:
    """Write PDF and PNG; methods that were timed but not evaluated have no point."""
    table = pd.read_csv(points).dropna(subset=["value"])
    save(quality_latency(table, measure=measure, names=names), Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.output.pdf,
            snakemake.params.measure,
            snakemake.params.names,
        )
