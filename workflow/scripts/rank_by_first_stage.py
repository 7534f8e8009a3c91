"""Keep the first stage's order of the candidates as a run of its own."""

from headrank.data.trec import Run
from headrank.workflow.script import run_job


def main(candidates: str, target: str, method: str) -> None:
    """Write the candidates under the method's name."""
    Run(Run.load(candidates).rankings, method).save(target)


if __name__ == "__main__":
    run_job(main, snakemake)
