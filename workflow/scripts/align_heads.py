"""Train an adapter on mined pairs; a killed run goes on from its last checkpoint."""

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

import headrank
from headrank.align.forward import HeadReader
from headrank.align.lists import Judged, load_training
from headrank.align.loop import TrainingData
from headrank.align.options import AlignOptions
from headrank.align.pairs import PairSet
from headrank.align.places import Folders
from headrank.align.train import align
from headrank.collections.set_files import load_lists
from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels
from headrank.models.card import verify_model
from headrank.models.decoder import load_model
from headrank.models.versions import versions
from headrank.options.prompt import PromptOptions
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
    folders = Folders(target, checkpoint)
    folders.check()
    torch.set_num_threads(threads)
    verify_model(model)
    chosen = HeadSet.load(heads)
    loaded = load_model(model, layers=chosen.deepest + 1, **weights)
    reader = HeadReader.of(loaded, PromptOptions(**prompt), chosen)
    reader.builder.check_wrapper(chosen.provenance, f"{heads}: the heads")
    training = load_training(sets, documents, queries)
    data = TrainingData(
        training,
        PairSet.load(pairs),
        Judged(load_lists(validation), Qrels.load(validation / "qrels.tsv")),
        # A smaller number of queries counts those with pairs alone; else all of the sets' do.
        labelled=len(training.qrels.grades) if queries is None else queries,
    )
    align(
        reader,
        data,
        folders,
        options=AlignOptions(**options),
        seed=seed,
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
