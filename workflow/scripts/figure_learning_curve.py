"""Draw what more training queries buy."""

from pathlib import Path

import pandas as pd

from headrank.figures import learning_curve, save
from headrank.files import read_json
from headrank.joblog import job_log


def main(
    per_run: str,
    cards: list[str],
    target: str,
    model: str,
    *,
    name: str,
    order: str,
    measure: str,
    references: list[str],
    names: dict[str, str],
) -> None:
    """Write PDF and PNG: one point an adapter, one line a reference."""
    table = pd.read_parquet(per_run)
    table = table[(table["set"] == name) & (table["measure"] == measure)]
    table = table[table["model"].isin(["-", model]) & table["order"].isin(["-", order])]
    alone = table[~table["method"].str.contains("+", regex=False)]
    points = []
    for path in cards:
        card, adapter = read_json(path), Path(path).parent.name
        points.append(
            {
                "queries": card["training_queries"],
                "seed": card["seed"],
                "value": alone.loc[alone["adapter"] == adapter, "value"].mean(),
            }
        )
    lines = {
        method: float(table.loc[table["method"] == method, "value"].mean()) for method in references
    }
    figure = learning_curve(pd.DataFrame(points), lines, measure=measure, names=names)
    save(figure, Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input.per_run,
            list(snakemake.input.cards),
            snakemake.output.pdf,
            snakemake.wildcards.model,
            name=snakemake.params.set,
            order=snakemake.params.order,
            measure=snakemake.params.measure,
            references=snakemake.params.references,
            names=snakemake.params.names,
        )
