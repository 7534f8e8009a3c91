"""Draw the measure against the number of heads, or against their depth."""

from pathlib import Path

import pandas as pd

from headrank.figures import ndcg_by_depth, ndcg_by_heads, save
from headrank.joblog import job_log

FIGURES = {"heads": ndcg_by_heads, "depth": ndcg_by_depth}


def main(
    curves: str,
    per_query: str,
    target: str,
    over: str,
    measure: str,
    name: str,
    references: list[str],
    names: dict[str, str],
) -> None:
    """Write PDF and PNG; methods without heads are lines."""
    table = pd.read_parquet(per_query)
    table = table[(table["measure"] == measure) & (table["set"] == name)]
    lines = {
        method: float(values.mean())
        for method, values in table.groupby("method", sort=False)["value"]
        if method in references
    }
    figure = FIGURES[over](pd.read_csv(curves), lines, measure=measure, names=names)
    save(figure, Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input.curves,
            snakemake.input.per_query,
            snakemake.output.pdf,
            snakemake.params.over,
            snakemake.params.measure,
            snakemake.params.set,
            snakemake.params.references,
            snakemake.params.names,
        )
