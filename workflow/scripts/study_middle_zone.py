"""Follow the documents of the prompt's middle zone to their final ranks."""

import pandas as pd

from headrank.files import atomic
from headrank.joblog import job_log
from headrank.middle import outcomes, promotion, prompt_orders
from headrank.reading import load_shards
from headrank.trec import Qrels, Run


def main(
    readings: list[str],
    qrels: str,
    runs: list[str],
    target: str,
    methods: list[str],
    relevance_level: int,
    confidence: float,
    seed: int,
) -> None:
    """Write promotion rates a method; runs of several seeds are pooled, query by query."""
    orders, judged = prompt_orders(load_shards(readings)), Qrels.load(qrels)
    found: dict[str, list[pd.DataFrame]] = {}
    for method, path in zip(methods, runs, strict=True):
        found.setdefault(method, []).append(
            outcomes(orders, Run.load(path), judged, relevance_level)
        )
    tables = [
        promotion(pd.concat(parts), confidence, seed=seed).assign(system=method)
        for method, parts in found.items()
    ]
    with atomic(target) as temporary:
        pd.concat(tables).to_csv(temporary, index=False)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            list(snakemake.input.readings),
            snakemake.input.qrels,
            list(snakemake.input.runs),
            snakemake.output[0],
            snakemake.params.methods,
            snakemake.params.relevance_level,
            snakemake.params.confidence,
            snakemake.params.seed,
        )
