"""Fuse a run with the first stage."""

from headrank.baselines.simple import fuse
from headrank.data.trec import Run
from headrank.workflow.script import run_job


def main(run: str, first_stage: str, target: str) -> None:
    """Write the sum of both runs' z-scores."""
    fuse(Run.load(run), Run.load(first_stage)).save(target)


if __name__ == "__main__":
    run_job(main, snakemake)
