"""Draw one measure of every method in every prompt order."""

from pathlib import Path

import pandas as pd

from headrank.figures import order_robustness, save
from headrank.joblog import job_log
from headrank.tables import cell_means


def main(
    per_query: str,
    target: str,
    model: str,
    layout: dict,
    measure: str,
    confidence: float,
    seed: int,
) -> None:
    """Write PDF and PNG of one model's methods and of those without a model."""
    table = pd.read_parquet(per_query)
    table = table[table["model"].isin([model, "-"])]
    means = cell_means(table, measure, [*layout["orders"], "-"], confidence, seed)
    names = layout["names"]
    means["set"] = [names.get(name, name) for name in means["set"]]
    save(order_robustness(means, measure=measure), Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.output.pdf,
            snakemake.wildcards.model,
            snakemake.params.layout,
            snakemake.params.measure,
            snakemake.params.confidence,
            snakemake.params.seed,
        )
