"""Rank the candidates by a cross-encoder: a classifier that reads query and passage together."""

import os

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from headrank.baselines.cross_encoder import CrossEncoder
from headrank.collections.set_files import load_lists
from headrank.models.card import verify_model
from headrank.models.devices import used_gpu
from headrank.workflow.provenance.process import save_reader
from headrank.workflow.script import Folder, run_job


def main(
    lists: Folder,
    model: Folder,
    run: str,
    *,
    encoder: dict,
    shard: int,
    shards: int,
    method: str,
    threads: int,
    code: str,
) -> None:
    """Write the classifier's run of every ``shards``-th list, from number ``shard``."""
    torch.set_num_threads(threads)
    verify_model(model)
    ranker = CrossEncoder(model, **encoder)
    ranker.run(load_lists(lists)[shard::shards], method).save(run)
    device = encoder["device"]
    save_reader(run, code, device=device, gpu=used_gpu(torch.device(device)))


if __name__ == "__main__":
    run_job(main, snakemake, gpu="encoder")
