"""Join what each method costs with what it yields: a table, and points for the figure."""

from pathlib import Path

import pandas as pd

from headrank.joblog import job_log
from headrank.speed import latency_table, quality_by_cost


def main(
    costs: list[str],
    per_query: str,
    target: str,
    *,
    quality: dict,
    lists: int,
    rounds: int,
    candidates: int,
    generative: list[str],
    names: dict[str, str],
) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    measured = pd.concat([pd.read_csv(path) for path in costs])
    points = quality_by_cost(measured, pd.read_parquet(per_query), **quality)
    name = names.get(quality["name"], quality["name"])
    about = f"Lists of {name}: {lists}, with up to {candidates} candidates; rounds: {rounds}."
    table = latency_table(
        points,
        measure=quality["measure"],
        model=quality["model"],
        # The first stage is always the CPU's.
        gpu="cuda" in set(measured["device"]),
        about=about,
        generative=generative,
        names=names,
    )
    table.save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            list(snakemake.input.costs),
            snakemake.input.per_query,
            snakemake.output[0],
            quality=dict(snakemake.params.quality),
            lists=snakemake.params.latency["lists"],
            rounds=snakemake.params.latency["rounds"],
            candidates=snakemake.params.candidates,
            generative=snakemake.params.generative,
            names=snakemake.params.names,
        )
