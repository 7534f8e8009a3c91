"""Mine hard adjacent-level pairs on the training lists with the unaligned heads.

A killed job goes on behind its last lists.
"""

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from headrank.align.forward import HeadReader
from headrank.align.lists import load_training
from headrank.align.mine import mine_with_model, mining_checkpoint
from headrank.data.heads import HeadSet
from headrank.io.files import atomic
from headrank.models.card import verify_model
from headrank.models.decoder import load_model
from headrank.options.pairs import PairOptions
from headrank.options.prompt import PromptOptions
from headrank.workflow.script import Folder, run_job


def main(
    sets: list[Folder],
    model: Folder,
    heads: str,
    pairs: str,
    summary: str,
    checkpoint: Path,
    *,
    weights: dict,
    prompt: dict,
    documents: int,
    queries: int | None,
    options: dict,
    seed: int,
    threads: int,
    code: str,
) -> None:
    """Write the pairs and their summary by grade boundary."""
    torch.set_num_threads(threads)
    verify_model(model)
    chosen = HeadSet.load(heads)
    loaded = load_model(model, layers=chosen.deepest + 1, **weights)
    reader = HeadReader.of(loaded, PromptOptions(**prompt), chosen)
    training = load_training(sets, documents, queries)
    asked = PairOptions(**options)
    # With margins every list is read, in this order; else some, and all in orders drawn later.
    reader.check(training.lists, seed if asked.margins else None)
    begun = mining_checkpoint(reader, training.lists, seed, checkpoint, code)
    mined = mine_with_model(reader, training, asked, seed, checkpoint=begun)
    mined.save(pairs)
    with atomic(summary) as temporary:
        mined.summary().to_csv(temporary, index=False)
    begun.remove()


if __name__ == "__main__":
    run_job(main, snakemake, gpu="weights")
