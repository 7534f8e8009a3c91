"""Evaluate each selection with other numbers of heads, or with heads of fewer layers."""

from headrank.data.trec import Qrels
from headrank.evaluation.head_controls import ndcg_by_depth, ndcg_by_heads
from headrank.heads.profile import Profile
from headrank.io.files import atomic
from headrank.options.fold import Fold
from headrank.options.selection import SelectionOptions
from headrank.reading.readings import load_shards
from headrank.workflow.job import job_log

STUDIES = {"heads": ndcg_by_heads, "depth": ndcg_by_depth}


def main(
    readings: list[str],
    qrels: str,
    profile: str,
    target: str,
    over: str,
    methods: dict,
    selections: dict,
    options: dict,
) -> None:
    """Write one row a method and number of heads, or deepest layer."""
    folds = {
        name: (SelectionOptions(**selections[method["heads"]]), Fold(**method["fold"]))
        for name, method in methods.items()
        if method["heads"] != "all"
    }
    curves = STUDIES[over](
        load_shards(readings), Qrels.load(qrels), Profile.load(profile), folds, **options
    )
    with atomic(target) as temporary:
        curves.to_csv(temporary, index=False)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            list(snakemake.input.readings),
            snakemake.input.qrels,
            snakemake.input.profile,
            snakemake.output[0],
            snakemake.params.over,
            snakemake.params.methods,
            snakemake.params.selections,
            snakemake.params.options,
        )
