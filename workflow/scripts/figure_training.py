"""Draw the training of a recipe, all its seeds in one figure."""

from pathlib import Path

import pandas as pd

from headrank.figures import save, training
from headrank.joblog import job_log


def main(steps: list[str], validation: list[str], seeds: list[int], target: str) -> None:
    """Write PDF and PNG."""
    tables = [
        pd.concat(
            pd.read_csv(path).assign(seed=seed) for path, seed in zip(paths, seeds, strict=True)
        )
        for paths in (steps, validation)
    ]
    save(training(*tables), Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            list(snakemake.input.steps),
            list(snakemake.input.validation),
            snakemake.params.seeds,
            snakemake.output.pdf,
        )
