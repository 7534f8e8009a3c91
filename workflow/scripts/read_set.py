"""Read every head on one shard of a query set; a killed job goes on behind its last lists."""

import os
from pathlib import Path

# Jobs read what earlier jobs put on disk; compute nodes may have no network.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

import headrank
from headrank.align.adapter import HEADS, WEIGHTS, check_adapter, load_adapter
from headrank.collections.set_files import load_lists
from headrank.data.candidates import arrange
from headrank.data.heads import HeadSet
from headrank.io.files import digest
from headrank.models.card import verify_model
from headrank.models.decoder import load_model
from headrank.models.safe_loading import load_config
from headrank.models.versions import versions
from headrank.options.prompt import PromptOptions
from headrank.reading import sliding_window
from headrank.reading.batches import TokenBudget
from headrank.reading.document_store import Shelf, document_state, job_store, state_of
from headrank.reading.lists import read_lists
from headrank.reading.prompt import PromptBuilder
from headrank.reading.readings import save_readings
from headrank.reading.recording import ReadOptions
from headrank.reading.unfinished import Unfinished
from headrank.workflow.provenance.process import source
from headrank.workflow.script import Folder, run_job


def main(
    lists: Folder,
    model: Folder,
    target: str,
    checkpoint: Path,
    *,
    weights: dict,
    prompt: dict,
    layers: int | None,
    adapter: Folder | None,
    order: str,
    seed: int,
    shard: int,
    shards: int,
    calibrate: bool,
    tokens: str,
    max_logits: bool,
    threads: int,
    encode_once: bool,
    batch_tokens: int | str,
    code: str,
) -> None:
    """Write the readings of every ``shards``-th list, from number ``shard``."""
    torch.set_num_threads(threads)
    verify_model(model)
    options = PromptOptions(**prompt)
    whole = load_config(model).num_hidden_layers
    if adapter is not None:
        check_adapter(adapter, options.layout)
        heads = HeadSet.load(adapter / HEADS)
        layers = heads.deepest + 1
    depth = whole if layers is None else min(layers, whole)
    loaded = load_model(model, layers=depth, **weights)
    if adapter is not None:
        load_adapter(loaded, adapter, heads)
    builder = PromptBuilder(loaded.tokenizer, options, loaded.context)
    if adapter is not None:
        builder.check_wrapper(heads.provenance, f"{adapter}: the heads")
    # Documents that are read apart have no order: any gives the same scores.
    order = order if options.layout == "joint" else "first-stage"
    chosen = [arrange(candidates, order, seed) for candidates in load_lists(lists)][shard::shards]
    budget = TokenBudget.of(batch_tokens, loaded.device)
    # As asked for, not as measured: shards of a set may be read on different cards.
    side_by_side = {} if budget.alone else {"batch_tokens": batch_tokens}
    store, shelf = job_store(encode_once, options.layout), None
    if store is not None:
        shelf = Shelf(store, document_state(loaded, adapter), loaded.device)
    kept = ReadOptions(
        calibrate=calibrate and adapter is None,
        deepest=depth - 1,
        keep_tokens=tokens == "all" and adapter is None,
        keep_max_logits=max_logits,
    )
    provenance = {
        "model": model.name,
        "model_digest": loaded.digest,
        "layers": whole,
        **({} if depth == whole else {"layers_read": depth}),
        "heads": loaded.heads,
        **weights,
        "gpu": loaded.gpu,
        "adapter": None if adapter is None else adapter.name,
        "adapter_digest": None if adapter is None else digest(adapter / WEIGHTS),
        "prompt": options.described(),
        "wrapper": builder.wrapper,
        **side_by_side,
        **({} if store is None else {"encode_once": True}),
        "order": order,
        "seed": seed,
        "versions": versions(),
        **source(Path(headrank.__file__).parents[1], code),
        **sliding_window.provenance(loaded),
    }
    decided = state_of(loaded, adapter) | {"tokenizer": loaded.tokenizer_digest}
    begun = Unfinished(checkpoint, provenance, chosen, kept, decided)
    # Lists that share a pass or a store are read again: in other company they may round otherwise.
    alone = budget.alone and shelf is None
    done = begun.load() if alone else []
    rest = chosen[len(done) :]
    fresh = read_lists(loaded, builder, rest, kept, budget=budget, shelf=shelf, label=lists.name)
    readings = [*done, *(begun.kept(fresh, len(done)) if alone else fresh)]
    save_readings(target, readings, provenance)
    begun.remove()


if __name__ == "__main__":
    run_job(main, snakemake, gpu="weights")
