"""Ask a model about one shard of a query set; a killed job goes on behind its last list."""

import os
from dataclasses import asdict
from pathlib import Path

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

import headrank
from headrank.baselines.generation.model import load_generator
from headrank.baselines.generation.prompts import AnswerPrompt
from headrank.baselines.generation.protocols import GenerativeMethod
from headrank.baselines.generation.records import FIELDS, generate, save_records
from headrank.collections.set_files import load_lists
from headrank.data.candidates import arrange, lists_digest
from headrank.io.files import digest
from headrank.io.record_checkpoint import RecordCheckpoint
from headrank.models.card import PROVENANCE, verify_model
from headrank.models.devices import used_gpu
from headrank.models.versions import versions
from headrank.options.prompt import PromptOptions
from headrank.workflow.provenance.process import source
from headrank.workflow.script import Folder, run_job


def main(
    lists: Folder,
    model: Folder,
    target: str,
    checkpoint: Path,
    *,
    weights: dict,
    method: dict,
    prompt: dict,
    order: str,
    seed: int,
    shard: int,
    shards: int,
    threads: int,
    code: str,
) -> None:
    """Write the records of every ``shards``-th list, from number ``shard``."""
    torch.set_num_threads(threads)
    verify_model(model)
    protocol, limits = GenerativeMethod(**method), PromptOptions(**prompt)
    chosen = [arrange(candidates, order, seed) for candidates in load_lists(lists)][shard::shards]
    generator = load_generator(model, **weights)
    builder = AnswerPrompt(generator.tokenizer, limits, thinking=protocol.thinking)
    settings = {
        "method": asdict(protocol),
        "model": model.name,
        "model_digest": digest(model / PROVENANCE),
        **weights,
        "prompt": prompt,
        "wrapper": builder.wrapper,
        "set": lists.name,
        "lists": lists_digest(chosen),
        "order": order,
        "seed": seed,
        "code": code,
        "versions": versions(),
    }
    # Another number of threads changes last digits.
    store = RecordCheckpoint(checkpoint, settings | {"threads": threads}, FIELDS)
    records = generate(
        lambda lists: protocol.rank(generator, lists, limits),
        chosen,
        store,
        batch=protocol.batch,
        label=lists.name,
    )
    # No settings: a run may go on, with the same answers asked for, on another GPU or commit.
    made_by = source(Path(headrank.__file__).parents[1], code)
    save_records(target, settings | {"gpu": used_gpu(generator.model.device)} | made_by, records)
    store.remove()


if __name__ == "__main__":
    run_job(main, snakemake, gpu="weights")
