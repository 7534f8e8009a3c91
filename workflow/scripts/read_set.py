"""Read every head on one shard of a query set."""

import importlib.metadata
import os
from dataclasses import asdict
from pathlib import Path

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from headrank.joblog import job_log
from headrank.lists import arrange, load_lists
from headrank.models import load_model, verify_model
from headrank.prompt import PromptBuilder, PromptOptions
from headrank.reader import read_lists
from headrank.reading import save_readings


def main(
    lists: Path,
    model: Path,
    target: str,
    *,
    weights: dict,
    prompt: dict,
    adapter: str,
    order: str,
    seed: int,
    shard: int,
    shards: int,
    calibrate: bool,
    tokens: str,
    threads: int,
) -> None:
    """Write the readings of every ``shards``-th list, from number ``shard``."""
    torch.set_num_threads(threads)
    verify_model(model)
    loaded = load_model(model, **weights)
    options = PromptOptions(**prompt)
    builder = PromptBuilder(loaded.tokenizer, options, loaded.context)
    chosen = [arrange(candidates, order, seed) for candidates in load_lists(lists)][shard::shards]
    readings = read_lists(
        loaded, builder, chosen, calibrate=calibrate, keep_tokens=tokens == "all", label=lists.name
    )
    provenance = {
        "model": model.name,
        "model_digest": loaded.digest,
        "layers": loaded.layers,
        "heads": loaded.heads,
        **weights,
        "adapter": adapter,
        "prompt": asdict(options),
        "order": order,
        "seed": seed,
        "versions": {
            name: importlib.metadata.version(name) for name in ("torch", "transformers", "numpy")
        },
    }
    save_readings(target, list(readings), provenance)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            Path(snakemake.input.queries).parent,
            Path(snakemake.input.model).parent,
            snakemake.output[0],
            weights=snakemake.params.model,
            prompt=snakemake.params.prompt,
            adapter=snakemake.wildcards.adapter,
            order=snakemake.wildcards.order,
            seed=snakemake.params.seed,
            shard=int(snakemake.wildcards.shard),
            shards=snakemake.params.shards,
            calibrate=snakemake.params.calibrate,
            tokens=snakemake.params.tokens,
            threads=snakemake.threads,
        )
