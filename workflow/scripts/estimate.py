"""Tell what the configured experiment will cost, and write it down."""

from pathlib import Path

from headrank.workflow.estimate.recorded import known
from headrank.workflow.estimate.stages import estimate
from headrank.workflow.estimate.table import estimate_table
from headrank.workflow.script import run_job


def main(config: dict, stem: Path) -> str:
    """Write CSV, Markdown and LaTeX; return the Markdown."""
    results = stem.parent
    # Other configs of the same models, each with results of its own, measured their speed too.
    others = [folder for folder in sorted(Path().glob("results*")) if folder != results]
    found = estimate_table(
        estimate(config, known(config, results, others=others)), config["estimate"]["source"]
    )
    found.save(stem)
    return found.markdown()


if __name__ == "__main__":
    print(run_job(main, snakemake))
