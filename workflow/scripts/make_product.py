"""Make one table or figure of the report, as the registry describes it."""

from pathlib import Path

from headrank.workflow.job import job_log
from headrank.workflow.products import PRODUCTS


def main(product: str, inputs: dict, options: dict, target: Path) -> None:
    """Write a table as CSV, Markdown and LaTeX, a figure as PDF and PNG, beside ``target``."""
    PRODUCTS[product].make(inputs, options, target)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.params.product,
            {
                name: list(files) if not isinstance(files, str) else files
                for name, files in snakemake.input.items()
            },
            snakemake.params.options,
            Path(snakemake.output[0]).with_suffix(""),
        )
