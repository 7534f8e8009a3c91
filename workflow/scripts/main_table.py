"""Write the main table, of all models or of one: methods against sets and prompt orders."""

from pathlib import Path

import pandas as pd

from headrank.joblog import job_log
from headrank.tables import Layout, main_table, success_rates


def main(
    per_query: str,
    significance: list[str],
    formatting: list[str],
    target: str,
    layout: dict,
    **options,
) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    counts = [pd.read_csv(path) for path in formatting]
    table = main_table(
        pd.read_parquet(per_query),
        pd.read_csv(significance[0]) if significance else None,
        Layout(**layout),
        formatting=success_rates(pd.concat(counts)) if counts else None,
        **options,
    )
    table.save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input.per_query,
            list(snakemake.input.significance),
            list(snakemake.input.formatting),
            snakemake.output[0],
            snakemake.params.layout,
            measure=snakemake.params.measure,
            baseline=snakemake.params.baseline,
            alpha=snakemake.params.alpha,
            notes=snakemake.params.notes,
            confidence=snakemake.params.confidence,
            model=snakemake.params.model,
        )
