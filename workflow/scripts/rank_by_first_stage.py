"""Keep the first stage's order of the candidates as a run of its own."""

from headrank.data.trec import Run
from headrank.workflow.job import job_log


def main(candidates: str, target: str, name: str) -> None:
    """Write the candidates under the method's name."""
    Run(Run.load(candidates).rankings, name).save(target)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(snakemake.input[0], snakemake.output[0], snakemake.wildcards.method)
