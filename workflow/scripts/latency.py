"""Time methods on some lists of a set, each as a deployment would run it."""

import gc
import os

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import pandas as pd
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
from headrank.ranker.origin import Origin
from headrank.ranker.ranker import HeadRanker
from headrank.reading.document_store import DocumentStore
from headrank.timing.stopwatch import System, costs
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
    systems: dict[str, dict],
    *,
    weights: dict,
    order: str,
    seed: int,
    number: int,
    rounds: int,
    threads: int,
) -> None:
    """Write one row a method, list and round.

    Args:
        systems: what each method is made from: ``kind`` (attention, encoder, generative),
            ``prompt``, and what belongs to the kind.
        number: of lists.
    """
    torch.set_num_threads(threads)
    if any(system["kind"] != "encoder" for system in systems.values()):
        verify_model(model)
    chosen = [arrange(candidates, order, seed) for candidates in load_lists(lists)[:number]]
    tables = []
    for name, how in systems.items():
        timed = system_of(model, how, weights)
        bar = follow(chosen, desc=f"time {name}", unit="list")
        tables.append(costs({name: timed}, bar, rounds, clock(weights["device"])))
        # Before the next is loaded: two large models may be more than there is memory for.
        del timed
        gc.collect()
    with atomic(target) as temporary:
        pd.concat(tables).assign(device=weights["device"]).to_csv(temporary, index=False)


def system_of(model: Folder, how: dict, weights: dict) -> System:
    """Return what ranks a list as a method does, loaded as a deployment would load it."""
    how = dict(how)
    kind, options = how.pop("kind"), PromptOptions(**how.pop("prompt"))
    # An object store's files lie under a folder of their own.
    root = model.parents[2]
    how |= {key: str(root / how[key]) for key in ("heads", "adapter", "path") if how.get(key)}
    if kind == "encoder":
        limits = {"max_tokens": how["max_tokens"], "device": weights["device"]}
        if how["cross"]:
            return cross_system(CrossEncoder(how["path"], **limits))
        return encoder_system(how["path"], **limits, stored=how["stored"])
    if kind == "generative":
        generator = load_generator(model, **weights)
        return generative_system(generator, GenerativeMethod(**how), options)
    ranker = HeadRanker.from_pretrained(
        model,
        heads=how["heads"],
        adapter=how["adapter"],
        method="headrank" if how["heads"] else "icr",
        fold=Fold(**how["fold"]),
        prompt=options,
        order="first-stage",
        # As a deployment has it: an adapter that can be merged costs nothing.
        merge=Origin.of(model, adapter=how["adapter"]).merges(),
        store=DocumentStore() if how["stored"] else None,
        **weights,
    )
    return attention_system(ranker)


if __name__ == "__main__":
    run_job(main, snakemake, gpu="weights")
