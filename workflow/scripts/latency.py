"""Time the methods of one model on some lists of a set, as a deployment would run them."""

import gc
import os
from pathlib import Path

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import pandas as pd
import torch
from tqdm import tqdm

from headrank.costs import costs
from headrank.cross import CrossEncoder
from headrank.files import atomic, folder_of
from headrank.generation.model import load_generator
from headrank.generation.protocols import GenerativeMethod
from headrank.gpu import on_device, one_gpu
from headrank.joblog import job_log
from headrank.latency import (
    attention_system,
    clock,
    cross_system,
    encoder_system,
    generative_system,
)
from headrank.lists import arrange, load_lists
from headrank.methods import Fold
from headrank.models import verify_model
from headrank.prompt import PromptOptions
from headrank.ranker import HeadRanker


def main(
    lists: Path,
    model: Path,
    target: str,
    *,
    weights: dict,
    prompt: dict,
    order: str,
    seed: int,
    count: int,
    rounds: int,
    threads: int,
    attention: dict[str, dict],
    encoders: dict[str, dict],
    generative: dict[str, dict],
) -> None:
    """Write one row a method, list and round; one method is in memory at a time."""
    torch.set_num_threads(threads)
    verify_model(model)
    chosen = [arrange(candidates, order, seed) for candidates in load_lists(lists)[:count]]
    options = PromptOptions(**prompt)
    tables = []

    def measure(name: str, system) -> None:
        bar = tqdm(chosen, desc=f"time {name}", unit="list")
        tables.append(costs({name: system}, bar, rounds, clock(weights["device"])))
        gc.collect()

    for name, method in attention.items():
        ranker = HeadRanker.from_pretrained(
            model,
            heads=method["heads"],
            adapter=method["adapter"],
            method="headrank" if method["heads"] else "icr",
            fold=Fold(**method["fold"]),
            prompt=options,
            order="first-stage",
            # As a deployment has it: the adapter costs nothing.
            merge=True,
            **weights,
        )
        measure(name, attention_system(ranker))
    for name, method in encoders.items():
        limits = {"max_tokens": method["max_tokens"], "device": weights["device"]}
        if method["cross"]:
            measure(name, cross_system(CrossEncoder(method["path"], **limits)))
        else:
            measure(name, encoder_system(method["path"], **limits))
    if generative:
        generator = load_generator(model, **weights)
        for name, method in generative.items():
            measure(name, generative_system(generator, GenerativeMethod(**method), options))
    with atomic(target) as temporary:
        pd.concat(tables).assign(device=weights["device"]).to_csv(temporary, index=False)


if __name__ == "__main__":
    # An object store's files lie under a folder of their own.
    root = folder_of(snakemake.input.model[0]).parents[2]
    with job_log(snakemake.log[0]), one_gpu(snakemake.params.model["device"]):
        main(
            Path(snakemake.input.queries).parent,
            folder_of(snakemake.input.model[0]),
            snakemake.output[0],
            weights=on_device(snakemake.params.model),
            prompt=snakemake.params.prompt,
            order=snakemake.params.order,
            seed=snakemake.params.seed,
            count=snakemake.params.latency["lists"],
            rounds=snakemake.params.latency["rounds"],
            threads=snakemake.params.working_threads,
            attention={
                name: {
                    **method,
                    **{k: str(root / method[k]) for k in ("heads", "adapter") if method[k]},
                }
                for name, method in snakemake.params.attention.items()
            },
            encoders={
                name: {**encoder, "path": str(root / encoder["path"])}
                for name, encoder in snakemake.params.encoders.items()
            },
            generative=snakemake.params.generative,
        )
