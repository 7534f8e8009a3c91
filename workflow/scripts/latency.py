"""Time one method on some lists of a set, as a deployment would run it."""

import os
from pathlib import Path

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from headrank.baselines.cross_encoder import CrossEncoder
from headrank.baselines.generation.model import load_generator
from headrank.baselines.generation.protocols import GenerativeMethod
from headrank.collections.set_files import load_lists
from headrank.data.candidates import arrange
from headrank.io.files import atomic, folder_of
from headrank.io.progress import follow
from headrank.models.card import verify_model
from headrank.models.devices import on_device
from headrank.options.fold import Fold
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.timing.stopwatch import costs
from headrank.timing.systems import (
    attention_system,
    clock,
    cross_system,
    encoder_system,
    generative_system,
)
from headrank.workflow.job import job_log, one_gpu


def main(
    lists: Path,
    model: Path,
    target: str,
    name: str,
    system: dict,
    *,
    weights: dict,
    prompt: dict,
    order: str,
    seed: int,
    count: int,
    rounds: int,
    threads: int,
) -> None:
    """Write one row a list and round.

    Args:
        system: what the method is made from: ``kind`` (attention, encoder, generative), and
            what belongs to it.
    """
    torch.set_num_threads(threads)
    how = {key: value for key, value in system.items() if key != "kind"}
    options = PromptOptions(**prompt)
    if system["kind"] == "encoder":
        limits = {"max_tokens": how["max_tokens"], "device": weights["device"]}
        if how["cross"]:
            timed = cross_system(CrossEncoder(how["path"], **limits))
        else:
            timed = encoder_system(how["path"], **limits)
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
            **weights,
        )
        timed = attention_system(ranker)
    chosen = [arrange(candidates, order, seed) for candidates in load_lists(lists)[:count]]
    bar = follow(chosen, desc=f"time {name}", unit="list")
    table = costs({name: timed}, bar, rounds, clock(weights["device"]))
    with atomic(target) as temporary:
        table.assign(device=weights["device"]).to_csv(temporary, index=False)


if __name__ == "__main__":
    # An object store's files lie under a folder of their own.
    root = folder_of(snakemake.input.model[0]).parents[2]
    system = snakemake.params.system
    with job_log(snakemake.log[0]), one_gpu(snakemake.params.model["device"]):
        main(
            Path(snakemake.input.queries).parent,
            folder_of(snakemake.input.model[0]),
            snakemake.output[0],
            snakemake.wildcards.method,
            system
            | {k: str(root / system[k]) for k in ("heads", "adapter", "path") if system.get(k)},
            weights=on_device(snakemake.params.model),
            prompt=snakemake.params.prompt,
            order=snakemake.params.order,
            seed=snakemake.params.seed,
            count=snakemake.params.lists,
            rounds=snakemake.params.rounds,
            threads=snakemake.params.working_threads,
        )
