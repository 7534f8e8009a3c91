"""Test the declared comparisons as one family."""

import pandas as pd

from headrank.evaluation.comparisons import compare_family
from headrank.io.files import atomic
from headrank.workflow.job import job_log


def main(per_query: str, target: str, pairs: list[list[str]], **options) -> None:
    """Write one row a comparison."""
    result = compare_family(
        pd.read_parquet(per_query), [(one, other) for one, other in pairs], **options
    )
    with atomic(target) as temporary:
        result.to_csv(temporary, index=False)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.output[0],
            snakemake.params.pairs,
            orders=snakemake.params.orders,
            measure=snakemake.params.measure,
            resamples=snakemake.params.resamples,
            confidence=snakemake.params.confidence,
            seed=snakemake.params.seed,
        )
