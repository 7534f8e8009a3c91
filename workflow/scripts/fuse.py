"""Fuse a run with the first stage."""

from headrank.joblog import job_log
from headrank.methods import fuse
from headrank.trec import Run


def main(run: str, first_stage: str, target: str) -> None:
    """Write the sum of both runs' z-scores."""
    fuse(Run.load(run), Run.load(first_stage)).save(target)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(snakemake.input.run, snakemake.input.first_stage, snakemake.output[0])
