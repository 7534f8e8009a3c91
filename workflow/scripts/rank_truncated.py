"""Rank a query set by the deployed path: the model cut behind the deepest selected head."""

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from headrank.collections.set_files import load_lists
from headrank.data.trec import Run
from headrank.io.files import folder_of
from headrank.io.progress import follow
from headrank.models.card import verify_model
from headrank.models.devices import on_device
from headrank.options.fold import Fold
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.workflow.job import job_log, one_gpu
from headrank.workflow.provenance.process import save_reader


def main(
    lists: Path,
    model: Path,
    heads: str | None,
    adapter: Path | None,
    target: str,
    *,
    weights: dict,
    prompt: dict,
    fold: dict,
    order: str,
    seed: int,
    shard: int,
    shards: int,
    threads: int,
    code: str,
    name: str,
) -> None:
    """Write what `headrank rerank` gives of every ``shards``-th list, from number ``shard``."""
    torch.set_num_threads(threads)
    verify_model(model)
    options = PromptOptions(**prompt)
    ranker = HeadRanker.from_pretrained(
        model,
        heads=heads,
        adapter=adapter,
        method="headrank" if heads else "icr",
        fold=Fold(**fold),
        prompt=options,
        # Documents that are read apart have no order: any gives the same scores.
        order=order if options.layout == "joint" else "first-stage",
        seed=seed,
        **weights,
    )
    found = load_lists(lists)[shard::shards]
    ranked = follow(ranker.rerank_lists(found), total=len(found), desc=lists.name, unit="query")
    rankings, sizes = {}, []
    for candidates, ranking in zip(found, ranked, strict=True):
        rankings[candidates.query_id] = [(passage.doc_id, passage.score) for passage in ranking]
        sizes += [(passage.tokens, passage.kept_tokens) for passage in ranking]
    Run(rankings, name).save(target)
    cut = [(tokens, kept) for tokens, kept in sizes if kept < tokens]
    save_reader(
        target,
        code,
        device=weights["device"],
        gpu=ranker.model.gpu,
        cut={
            "documents": len(sizes),
            "cut": len(cut),
            "tokens": sum(tokens for tokens, _ in cut),
            "kept_tokens": sum(kept for _, kept in cut),
        },
    )


if __name__ == "__main__":
    with job_log(snakemake.log[0]), one_gpu(snakemake.params.model["device"]):
        main(
            Path(snakemake.input.queries).parent,
            folder_of(snakemake.input.model[0]),
            snakemake.input.heads[0] if snakemake.input.heads else None,
            Path(snakemake.input.adapter[0]).parent if snakemake.input.adapter else None,
            snakemake.output.run,
            weights=on_device(snakemake.params.model),
            prompt=snakemake.params.prompt,
            fold=snakemake.params.fold,
            order=snakemake.wildcards.order,
            seed=snakemake.params.seed,
            shard=int(snakemake.wildcards.shard),
            shards=snakemake.params.shards,
            threads=snakemake.threads,
            code=snakemake.params.code,
            name=snakemake.wildcards.method,
        )
