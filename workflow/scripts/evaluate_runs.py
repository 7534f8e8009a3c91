"""Evaluate every run of the experiment, query by query."""

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from headrank.evaluate import evaluate
from headrank.files import atomic
from headrank.joblog import job_log
from headrank.trec import Qrels, Run

COLUMNS = ("set", "model", "adapter", "order", "method")


def main(
    runs: list[str],
    qrels: list[str],
    target: str,
    cells: list[tuple[str, ...]],
    levels: dict[str, int],
    measures: list[str],
) -> None:
    """Write the long table: one row a cell, query and measure."""
    judged = {Path(path).parent.name: Qrels.load(path) for path in qrels}
    parts = []
    for path, cell in tqdm(list(zip(runs, cells, strict=True)), desc="evaluate", unit="run"):
        labels = dict(zip(COLUMNS, cell, strict=True))
        name = labels["set"]
        values = evaluate(Run.load(path), judged[name], measures, levels[name])
        parts.append(values.assign(**labels)[[*COLUMNS, "query", "measure", "value"]])
    with atomic(target) as temporary:
        pd.concat(parts, ignore_index=True).to_parquet(temporary)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            list(snakemake.input.runs),
            list(snakemake.input.qrels),
            snakemake.output[0],
            snakemake.params.cells,
            snakemake.params.levels,
            snakemake.params.measures,
        )
