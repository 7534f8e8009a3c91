"""Evaluate each selection with other numbers of heads, or with heads of fewer layers."""

from pathlib import Path

import pandas as pd

from headrank.data.trec import Qrels
from headrank.evaluation.head_controls import Measurement, ndcg_by_depth, ndcg_by_heads
from headrank.heads.profile import Profile
from headrank.io.files import atomic
from headrank.options.fold import Fold
from headrank.options.selection import SelectionOptions
from headrank.reading.readings import load_shards
from headrank.workflow.script import run_job

STUDIES = {"heads": ndcg_by_heads, "depth": ndcg_by_depth}


def main(
    qrels: str,
    target: str,
    over: str,
    methods: dict,
    options: dict,
) -> None:
    """Write one row a method and number of heads, or deepest layer.

    Args:
        methods: selection, fold, readings and profile of each.
    """
    # An object store's files lie under a folder of their own.
    root = Path(qrels).parents[3]
    judged = Qrels.load(qrels)
    curves = [
        STUDIES[over](
            load_shards([root / path for path in method["readings"]]),
            judged,
            Profile.load(root / method["profile"]),
            {name: (SelectionOptions(**method["selection"]), Fold(**method["fold"]))},
            measurement=Measurement(**options),
        )
        for name, method in methods.items()
    ]
    with atomic(target) as temporary:
        pd.concat(curves).to_csv(temporary, index=False)


if __name__ == "__main__":
    run_job(main, snakemake)
