"""Rank the candidates by a cross-encoder: a classifier that reads query and passage together."""

import os
from pathlib import Path

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from headrank.baselines.cross_encoder import CrossEncoder
from headrank.collections.set_files import load_lists
from headrank.io.files import folder_of
from headrank.models.card import verify_model
from headrank.models.devices import on_device, used_gpu
from headrank.workflow.job import job_log, one_gpu
from headrank.workflow.provenance.process import save_reader


def main(
    lists: Path,
    model: Path,
    target: str,
    *,
    max_tokens: int,
    device: str,
    shard: int,
    shards: int,
    name: str,
    threads: int,
    code: str,
) -> None:
    """Write the classifier's run of every ``shards``-th list, from number ``shard``."""
    torch.set_num_threads(threads)
    verify_model(model)
    encoder = CrossEncoder(model, max_tokens=max_tokens, device=device)
    encoder.run(load_lists(lists)[shard::shards], name).save(target)
    gpu = used_gpu(torch.device(device))
    save_reader(target, code, device=device, gpu=gpu)


if __name__ == "__main__":
    with job_log(snakemake.log[0]), one_gpu(snakemake.params.encoder["device"]):
        main(
            Path(snakemake.input.queries).parent,
            folder_of(snakemake.input.model[0]),
            snakemake.output.run,
            **on_device(snakemake.params.encoder),
            shard=int(snakemake.wildcards.shard),
            shards=snakemake.params.shards,
            name=snakemake.wildcards.method,
            threads=snakemake.threads,
            code=snakemake.params.code,
        )
