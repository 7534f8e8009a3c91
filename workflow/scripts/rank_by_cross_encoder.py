"""Rank the candidates by a cross-encoder: a classifier that reads query and passage together.

A killed job goes on behind its last lists.
"""

import os
from pathlib import Path

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from headrank.baselines.cross_encoder import CrossEncoder
from headrank.collections.set_files import load_lists
from headrank.data.candidates import lists_digest
from headrank.data.list_records import SCORES
from headrank.io.files import digest
from headrank.io.record_checkpoint import RecordCheckpoint
from headrank.models.card import PROVENANCE, verify_model
from headrank.models.devices import used_gpu
from headrank.models.versions import versions
from headrank.workflow.provenance.process import save_reader
from headrank.workflow.script import Folder, run_job


def main(
    lists: Folder,
    model: Folder,
    run: str,
    checkpoint: Path,
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
    chosen, device = load_lists(lists)[shard::shards], encoder["device"]
    gpu = used_gpu(torch.device(device))
    decided = {
        "model_digest": digest(model / PROVENANCE),
        "encoder": encoder,
        "gpu": gpu,
        "threads": threads,
        "lists": lists_digest(chosen),
        "code": code,
        "versions": versions(),
    }
    begun = RecordCheckpoint(checkpoint, decided, SCORES)
    ranker.run(chosen, method, begun).save(run)
    save_reader(run, code, device=device, gpu=gpu)
    begun.remove()


if __name__ == "__main__":
    run_job(main, snakemake, gpu="encoder")
