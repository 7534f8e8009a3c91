"""Rank a query set by what a model answered."""

from headrank.baselines.generation.records import records_run
from headrank.workflow.job import job_log


def main(records: list[str], target: str, name: str) -> None:
    """Write the method's run from the shards of its records."""
    records_run(records, name).save(target)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(list(snakemake.input), snakemake.output[0], snakemake.wildcards.method)
