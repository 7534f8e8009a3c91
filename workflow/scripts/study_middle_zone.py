"""Follow the documents of the prompt's middle zone to their final ranks."""

import pandas as pd

from headrank.data.trec import Qrels, Run
from headrank.evaluation.middle_zone import outcomes, promotion, promotion_change, prompt_orders
from headrank.io.files import atomic
from headrank.reading.arranged import load_in_order
from headrank.workflow.script import run_job


def main(
    readings: list[str],
    qrels: str,
    runs: list[str],
    target: str,
    methods: list[str],
    before: dict[str, str],
    relevance_level: int,
    order: str,
    confidence: float,
    seed: int,
) -> None:
    """Write promotion rates a method; runs of several seeds are pooled, query by query.

    Rows of a method in ``before`` also have its change against the method named there.
    """
    orders = prompt_orders(load_in_order(readings, order, seed))
    judged = Qrels.load(qrels)
    found: dict[str, list[pd.DataFrame]] = {}
    for method, path in zip(methods, runs, strict=True):
        found.setdefault(method, []).append(
            outcomes(orders, Run.load(path), judged, relevance_level)
        )
    joined = {method: pd.concat(parts) for method, parts in found.items()}
    tables = []
    for method, table in joined.items():
        rates = promotion(table, confidence, seed=seed)
        if method in before:
            change = promotion_change(joined[before[method]], table, confidence, seed=seed)
            change = change.rename(
                columns={name: f"change_{name}" for name in ("low", "high", "p")}
            )
            rates = rates.merge(change, on="kind").assign(before=before[method])
        tables.append(rates.assign(system=method))
    with atomic(target) as temporary:
        pd.concat(tables).to_csv(temporary, index=False)


if __name__ == "__main__":
    run_job(main, snakemake)
