"""Tabulate the form of the answers that generative methods gave."""

from pathlib import Path

from headrank.generation.records import load_records
from headrank.joblog import job_log
from headrank.tables import formatting_counts, formatting_table

LABELS = ("set", "order", "method")


def main(
    records: list[str],
    cells: list[tuple[str, str, str]],
    target: str,
    model: str,
    sets: list[str],
    names: dict[str, str],
) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    counts = formatting_counts(
        ({"model": model} | dict(zip(LABELS, cell, strict=True)), load_records(path)[1])
        for path, cell in zip(records, cells, strict=True)
    )
    formatting_table(counts, sets=sets, names=names).save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            list(snakemake.input),
            snakemake.params.cells,
            snakemake.output[0],
            snakemake.wildcards.model,
            snakemake.params.sets,
            snakemake.params.names,
        )
