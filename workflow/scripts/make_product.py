"""Make one table or figure of the report, as the registry describes it."""

from pathlib import Path

from headrank.workflow.products import PRODUCTS
from headrank.workflow.script import run_job


def main(
    product: str, options: dict, of: str, target: list[str], **inputs: str | list[str]
) -> None:
    """Write a table as CSV, Markdown and LaTeX, a figure as PDF and PNG."""
    PRODUCTS[product].make(inputs, options, of, Path(target[0]).with_suffix(""))


if __name__ == "__main__":
    run_job(main, snakemake)
