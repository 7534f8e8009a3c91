"""Test the declared comparisons as one family."""

import pandas as pd

from headrank.evaluation.comparisons import compare_family
from headrank.io.files import atomic
from headrank.workflow.script import run_job


def main(per_query: str, target: str, pairs: list[list[str]], **options) -> None:
    """Write one row a comparison."""
    result = compare_family(
        pd.read_parquet(per_query), [(one, other) for one, other in pairs], **options
    )
    with atomic(target) as temporary:
        result.to_csv(temporary, index=False)


if __name__ == "__main__":
    run_job(main, snakemake)
