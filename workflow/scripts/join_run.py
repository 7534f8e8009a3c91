"""Join the runs of a query set's shards."""

from headrank.data.trec import Run
from headrank.workflow.script import run_job


def main(parts: list[str], target: str, method: str) -> None:
    """Write one run of all queries."""
    Run.join(parts, method).save(target)


if __name__ == "__main__":
    run_job(main, snakemake)
