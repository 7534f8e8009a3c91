"""Evaluate every run of the experiment, query by query."""

from pathlib import Path

import pandas as pd

from headrank.data.trec import Qrels, Run
from headrank.evaluation.measures import evaluate
from headrank.io.files import atomic
from headrank.io.progress import follow
from headrank.report.tables.cells import average_seeds
from headrank.workflow.script import run_job

COLUMNS = ("set", "model", "adapter", "order", "method")


def main(
    runs: list[str],
    qrels: list[str],
    per_query: str,
    per_run: str,
    cells: list[tuple[str, ...]],
    levels: dict[str, int],
    measures: list[str],
    seeds: dict[str, str],
) -> None:
    """Write two long tables, one row a query and measure.

    ``per_run`` holds every run; in ``per_query`` a method that was trained with several
    seeds stands once, with its mean over the seeds.
    """
    judged = {Path(path).parent.name: Qrels.load(path) for path in qrels}
    parts = []
    for path, cell in follow(list(zip(runs, cells, strict=True)), desc="evaluate", unit="run"):
        labels = dict(zip(COLUMNS, cell, strict=True))
        name = labels["set"]
        values = evaluate(Run.load(path), judged[name], measures, levels[name])
        parts.append(values.assign(**labels)[[*COLUMNS, "query", "measure", "value"]])
    table = pd.concat(parts, ignore_index=True)
    for path, values in ((per_run, table), (per_query, average_seeds(table, seeds))):
        with atomic(path) as temporary:
            values.to_parquet(temporary)


if __name__ == "__main__":
    run_job(main, snakemake)
