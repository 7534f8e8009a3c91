"""Draw one measure of every method in every prompt order."""

from pathlib import Path

import pandas as pd

from headrank.figures import order_robustness, save
from headrank.joblog import job_log
from headrank.tables import cell_means

KEYS = ["set", "method"]


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
    free = table["order"] == "-"
    parts = [(table[~free], layout["orders"]), (table[free], ["-"])]
    means = pd.concat(
        cell_means(part, measure, orders, confidence, seed) for part, orders in parts if len(part)
    )
    # The figure shows rows in their order: sets and methods as the config declares them.
    place = [(layout["sets"].index(s), layout["methods"].index(m)) for s, m in means[KEYS].values]
    means = means.assign(place=place).sort_values("place", kind="stable")
    means["set"] = [layout["names"].get(name, name) for name in means["set"]]
    figure = order_robustness(means, measure=measure, names=layout["names"])
    save(figure, Path(target).with_suffix(""))


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
