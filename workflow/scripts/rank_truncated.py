"""Rank a query set by the deployed path: the model cut behind the deepest selected head.

A killed job goes on behind its last lists.
"""

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from headrank.collections.set_files import load_lists
from headrank.data.trec import Run
from headrank.io.progress import follow
from headrank.models.card import verify_model
from headrank.options.fold import Fold
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.ranker.resumed import ranking_checkpoint, rerank_resumed
from headrank.reading.batches import TokenBudget
from headrank.reading.document_store import job_store
from headrank.workflow.provenance.process import save_reader
from headrank.workflow.script import Folder, run_job


def main(
    lists: Folder,
    model: Folder,
    heads: str | None,
    adapter: Folder | None,
    run: str,
    checkpoint: Path,
    *,
    weights: dict,
    prompt: dict,
    fold: dict,
    order: str,
    seed: int,
    shard: int,
    shards: int,
    threads: int,
    encode_once: bool,
    batch_tokens: int | str,
    code: str,
    method: str,
) -> None:
    """Write what `headrank rerank` gives of every ``shards``-th list, from number ``shard``."""
    torch.set_num_threads(threads)
    verify_model(model)
    options = PromptOptions(**prompt)
    store = job_store(encode_once, options.layout)
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
        store=store,
        **weights,
    )
    found = load_lists(lists)[shard::shards]
    budget = TokenBudget.of(batch_tokens, ranker.model.device)
    # Lists that share a pass or a store are read again: in other company they may round otherwise.
    alone = budget.alone and store is None
    begun = ranking_checkpoint(ranker, found, checkpoint, code) if alone else None
    if begun is not None:
        ranked = rerank_resumed(ranker, found, begun, lists.name)
    else:
        ranked = ranker.rerank_lists(found, budget=budget)
        ranked = follow(ranked, total=len(found), desc=lists.name, unit="query")
    rankings, sizes = {}, []
    for candidates, ranking in zip(found, ranked, strict=True):
        rankings[candidates.query_id] = [(passage.doc_id, passage.score) for passage in ranking]
        sizes += [(passage.tokens, passage.kept_tokens) for passage in ranking]
    Run(rankings, method).save(run)
    cut = [(tokens, kept) for tokens, kept in sizes if kept < tokens]
    save_reader(
        run,
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
    if begun is not None:
        begun.remove()


if __name__ == "__main__":
    run_job(main, snakemake, gpu="weights")
