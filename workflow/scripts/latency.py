"""Time one method on some lists of a set, as a deployment would run it."""

import os

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from headrank.baselines.cross_encoder import CrossEncoder
from headrank.baselines.generation.model import load_generator
from headrank.baselines.generation.protocols import GenerativeMethod
from headrank.collections.set_files import load_lists
from headrank.data.candidates import arrange
from headrank.io.files import atomic
from headrank.io.progress import follow
from headrank.models.card import verify_model
from headrank.options.fold import Fold
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading.document_store import DocumentStore
from headrank.timing.stopwatch import costs
from headrank.timing.systems import (
    attention_system,
    clock,
    cross_system,
    encoder_system,
    generative_system,
)
from headrank.workflow.script import Folder, run_job


def main(
    lists: Folder,
    model: Folder,
    target: str,
    method: str,
    system: dict,
    *,
    weights: dict,
    prompt: dict,
    order: str,
    seed: int,
    number: int,
    rounds: int,
    threads: int,
) -> None:
    """Write one row a list and round.

    Args:
        system: what the method is made from: ``kind`` (attention, encoder, generative), and
            what belongs to it.
        number: of lists.
    """
    torch.set_num_threads(threads)
    how = {key: value for key, value in system.items() if key != "kind"}
    # An object store's files lie under a folder of their own.
    root = model.parents[2]
    how |= {key: str(root / how[key]) for key in ("heads", "adapter", "path") if how.get(key)}
    options = PromptOptions(**prompt)
    if system["kind"] == "encoder":
        limits = {"max_tokens": how["max_tokens"], "device": weights["device"]}
        if how["cross"]:
            timed = cross_system(CrossEncoder(how["path"], **limits))
        else:
            timed = encoder_system(how["path"], **limits, stored=how["stored"])
    elif system["kind"] == "generative":
        verify_model(model)
        generator = load_generator(model, **weights)
        timed = generative_system(generator, GenerativeMethod(**how), options)
    else:
        verify_model(model)
        ranker = HeadRanker.from_pretrained(
            model,
            heads=how["heads"],
            adapter=how["adapter"],
            method="headrank" if how["heads"] else "icr",
            fold=Fold(**how["fold"]),
            prompt=options,
            order="first-stage",
            # As a deployment has it: the adapter costs nothing.
            merge=True,
            store=DocumentStore() if how["stored"] else None,
            **weights,
        )
        timed = attention_system(ranker)
    chosen = [arrange(candidates, order, seed) for candidates in load_lists(lists)[:number]]
    bar = follow(chosen, desc=f"time {method}", unit="list")
    table = costs({method: timed}, bar, rounds, clock(weights["device"]))
    with atomic(target) as temporary:
        table.assign(device=weights["device"]).to_csv(temporary, index=False)


if __name__ == "__main__":
    run_job(main, snakemake, gpu="weights")
