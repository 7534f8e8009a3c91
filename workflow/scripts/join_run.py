"""Join the runs of a query set's shards."""

from headrank.data.trec import Run
from headrank.workflow.job import job_log


def main(parts: list[str], target: str, name: str) -> None:
    """Write one run of all queries."""
    Run.join(parts, name).save(target)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(list(snakemake.input), snakemake.output[0], snakemake.wildcards.method)
