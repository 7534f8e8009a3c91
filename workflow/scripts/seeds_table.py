"""Write the table of aligned methods over their training seeds."""

from pathlib import Path

import pandas as pd

from headrank.joblog import job_log
from headrank.tables import seeds_table


def main(
    per_run: str, target: str, model: str, seeds: dict[str, str], measure: str, names: dict
) -> None:
    """Write CSV, Markdown and LaTeX beside each other.

    Args:
        seeds: ``{adapter: recipe}``; an adapter is named RECIPE-SEED.
    """
    table = pd.read_parquet(per_run)
    chosen = table["adapter"].isin(list(seeds)) & (table["model"] == model)
    table = table[chosen & (table["measure"] == measure)]
    keys = ["set", "order", "method", "adapter"]
    means = table.groupby(keys, sort=False, observed=True)["value"].mean().reset_index()
    means["seed"] = [adapter.rpartition("-")[2] for adapter in means["adapter"]]
    values = means.rename(columns={"method": "system"}).drop(columns="adapter")
    for column in ("set", "order"):
        values[column] = [names.get(name, name) for name in values[column]]
    made = seeds_table(values, measure=measure, keys=("set", "order"), names=names)
    made.save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.output[0],
            snakemake.wildcards.model,
            snakemake.params.seeds,
            snakemake.params.measure,
            snakemake.params.names,
        )
