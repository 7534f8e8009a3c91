"""Join the benchmarks of a model in one table."""

from pathlib import Path

from headrank.joblog import job_log
from headrank.speed import benchmark_table, load_benchmarks


def main(parts: list[str], target: str, model: str) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    benchmark_table(load_benchmarks(parts), model).save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(list(snakemake.input), snakemake.output[0], snakemake.wildcards.model)
