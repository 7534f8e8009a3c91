"""Rank the candidates by a sentence encoder: the dense baseline."""

import os

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from headrank.baselines.bi_encoder import dense_run
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
    method: str,
    threads: int,
    code: str,
) -> None:
    """Write the encoder's run, and what ran it."""
    torch.set_num_threads(threads)
    verify_model(model)
    dense_run(model, load_lists(lists), **encoder, name=method).save(run)
    device = encoder["device"]
    save_reader(run, code, device=device, gpu=used_gpu(torch.device(device)))


if __name__ == "__main__":
    run_job(main, snakemake, gpu="encoder")
