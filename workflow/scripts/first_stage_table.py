"""Compare the first stage with published numbers."""

import logging
from pathlib import Path

from headrank.files import folder_of
from headrank.joblog import job_log
from headrank.published import compare_first_stages, declared
from headrank.tables.first_stage import first_stage_table

logger = logging.getLogger(__name__)


def main(runs: list[str], folders: list[str], published: list[dict], target: str) -> None:
    """Write CSV, Markdown and LaTeX beside each other; a difference is told, not refused."""
    entries = [
        (Path(folder).name, Path(run).stem, folder, run, declared(entry))
        for run, folder, entry in zip(runs, folders, published, strict=True)
    ]
    compared = compare_first_stages(entries)
    for row in compared[compared["differs"]].itertuples():
        where = f"{row.collection}, {row.split}"
        logger.warning("%s: nDCG@10 is %.4f, published %.4f", where, row.ours, row.published)
    first_stage_table(compared).save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            list(snakemake.input.runs),
            [str(folder_of(path)) for path in snakemake.input.qrels],
            snakemake.params.published,
            snakemake.output[0],
        )
