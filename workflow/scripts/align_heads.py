"""Train an adapter on mined pairs; a killed run goes on from its last checkpoint."""

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

import headrank
from headrank.align.lists import Judged, load_training
from headrank.align.options import AlignOptions
from headrank.align.pairs import PairSet
from headrank.align.places import check_folders
from headrank.align.train import align
from headrank.collections.set_files import load_lists
from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels
from headrank.models.card import verify_model
from headrank.models.decoder import load_model
from headrank.models.versions import versions
from headrank.options.prompt import PromptOptions
from headrank.reading.prompt import PromptBuilder
from headrank.workflow.provenance.process import source
from headrank.workflow.script import Folder, run_job


def main(
    sets: list[Folder],
    validation: Folder,
    model: Folder,
    heads: str,
    pairs: str,
    target: Folder,
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
    """Write the adapter's folder."""
    check_folders(target, checkpoint)
    torch.set_num_threads(threads)
    verify_model(model)
    chosen = HeadSet.load(heads)
    loaded = load_model(model, layers=chosen.deepest + 1, **weights)
    builder = PromptBuilder(loaded.tokenizer, PromptOptions(**prompt), loaded.context)
    builder.check_wrapper(chosen.provenance, f"{heads}: the heads")
    training = load_training(sets, documents, queries)
    mined = PairSet.load(pairs)
    align(
        loaded,
        builder,
        chosen,
        training,
        mined,
        target,
        validation=Judged(load_lists(validation), Qrels.load(validation / "qrels.tsv")),
        options=AlignOptions(**options),
        seed=seed,
        checkpoint=checkpoint,
        # A smaller number of queries counts those with pairs alone; else all of the sets' do.
        labelled_queries=len(training.qrels.grades) if queries is None else queries,
        provenance={
            "training": [path.name for path in sets],
            "validation": validation.name,
            "versions": versions(),
            **weights,
            "gpu": loaded.gpu,
            **source(Path(headrank.__file__).parents[1], code),
        },
    )


if __name__ == "__main__":
    run_job(main, snakemake, gpu="weights")
