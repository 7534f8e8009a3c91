"""Draw the benchmarks of a model."""

from pathlib import Path

from headrank.figures import save
from headrank.figures.benchmarks import benchmarks
from headrank.joblog import job_log
from headrank.speed import load_benchmarks


def main(parts: list[str], target: str) -> None:
    """Write PDF and PNG."""
    save(benchmarks(load_benchmarks(parts)), Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(list(snakemake.input), snakemake.output.pdf)
