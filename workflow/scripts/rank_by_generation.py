"""Rank a query set by what a model answered."""

from headrank.baselines.generation.records import records_run
from headrank.workflow.script import run_job


def main(records: list[str], target: str, method: str) -> None:
    """Write the method's run from the shards of its records."""
    records_run(records, method).save(target)


if __name__ == "__main__":
    run_job(main, snakemake)
