"""Rank the candidates at random: the control of every table."""

from headrank.baselines.simple import random_run
from headrank.data.trec import Run
from headrank.workflow.script import run_job


def main(candidates: str, target: str, seed: int) -> None:
    """Write a seeded random run."""
    random_run(Run.load(candidates), seed).save(target)


if __name__ == "__main__":
    run_job(main, snakemake)
