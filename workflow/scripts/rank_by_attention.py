"""Rank a query set by folding its readings."""

from headrank.data.heads import HeadSet
from headrank.heads.fold import rank
from headrank.options.fold import Fold
from headrank.reading.layout import check_heads, layout_of
from headrank.reading.readings import load_shards
from headrank.workflow.script import run_job


def main(readings: list[str], heads: list[str], target: str, fold: dict, method: str) -> None:
    """Write the method's run; without a file of heads it joins all of them."""
    shards = load_shards(readings)
    selected = HeadSet.load(heads[0]) if heads else None
    if selected is not None:
        made = shards[0].meta["provenance"]
        layers = made.get("layers_read", made["layers"])
        selected.check_model(layers, made["heads"], made["model_digest"])
        check_heads(selected, layout_of(made["prompt"]))
    rank(shards, selected, Fold(**fold), method).save(target)


if __name__ == "__main__":
    run_job(main, snakemake)
