"""Compare ablated settings with their defaults, query by query."""

import pandas as pd

from headrank.errors import HeadRankError
from headrank.evaluation.comparisons import differences
from headrank.io.files import atomic
from headrank.workflow.script import run_job


def main(per_query: str, target: str, model: str, settings: list[dict], options: dict) -> None:
    """Write one row a setting of one model."""
    if not settings:
        raise HeadRankError("the config has no `ablations`; declare at least one factor")
    table = pd.read_parquet(per_query)
    values = {
        method: part.set_index("query")["value"]
        for method, part in table[table["model"] == model].groupby("method")
    }
    defaults, variants = {}, {}
    for setting in settings:
        found = values[setting["method"]]
        if setting["default"]:
            defaults[setting["factor"]] = (setting["text"], found)
        else:
            variants[setting["factor"], setting["text"]] = found
    result = differences(defaults, variants, **options)
    with atomic(target) as temporary:
        result.to_csv(temporary, index=False)


if __name__ == "__main__":
    run_job(main, snakemake)
