"""A training step against supervised fine-tuning of the same tokens, in one process.

python -m benchmarks.training resources/models/smollm2
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy

from benchmarks.cases import compared
from benchmarks.command import run
from benchmarks.material import bare_model, passages, prefill, some_heads, tokens_of
from headrank.align.adapter import PROJECTIONS, add_adapter, leave_documents
from headrank.align.forward import HeadReader
from headrank.align.lists import Judged
from headrank.align.loop import Training, TrainingData
from headrank.align.options import AlignOptions
from headrank.align.pairs import mine_pairs
from headrank.baselines.generation.model import load_generator
from headrank.data.trec import Qrels
from headrank.models.decoder import load_model
from headrank.options.pairs import PairOptions
from headrank.options.prompt import PromptOptions
from headrank.reading.apart import encode_documents
from headrank.reading.document_store import DocumentStore, Shelf, document_state
from headrank.reading.prompt import PromptBuilder
from headrank.timing.stopwatch import alternate
from headrank.timing.systems import clock

NAMES = {"query-key": "queries and keys", "all": "all projections"}
# Case: task, what it is compared with, the most it may cost.
CASES = {
    "step, queries and keys, against fine-tuning at full depth": (
        "aligned, queries and keys",
        "fine-tuned, queries and keys",
        0.65,
    ),
    "step, queries and keys, against a prefill of as many layers": (
        "aligned, queries and keys",
        "bare, as deep",
        None,
    ),
    "step, all projections, against fine-tuning at full depth": (
        "aligned, all projections",
        "fine-tuned, all projections",
        0.65,
    ),
    "step, all projections, against a prefill of as many layers": (
        "aligned, all projections",
        "bare, as deep",
        None,
    ),
    "step, the query's tokens, against all tokens in blocks": (
        "aligned, the query's tokens",
        "aligned, all tokens in blocks",
        0.3,
    ),
    "documents encoded once, against a step in blocks": (
        "documents encoded",
        "aligned, all tokens in blocks",
        None,
    ),
}


def compare(
    path: str | os.PathLike,
    *,
    dtype: str = "bfloat16",
    device: str = "cpu",
    documents: int = 12,
    document_tokens: int = 64,
    words: int = 100,
    rounds: int = 5,
) -> pd.DataFrame:
    """Return one row a case: ratio of seconds (median, lowest, highest), target, tokens.

    A step takes one list: forward, backward, clipping and the optimiser's update. The
    reference trains the same LoRA, in every layer, to write the suffix behind the documents,
    and computes no other logits; so it is the least that training a generator on this prompt
    takes.
    """
    candidates = passages(documents, words)
    writers = {name: load_generator(path, dtype=dtype, device=device) for name in NAMES}
    writer = writers["all"]
    shape = writer.model.config
    heads = some_heads(shape.num_hidden_layers, shape.num_attention_heads)
    options = PromptOptions(document_tokens=document_tokens)
    builder = PromptBuilder(writer.tokenizer, options, writer.context)
    prompt = builder.build(candidates, (candidates.query,))
    answer = len(prompt.suffixes[0].ids)
    ids = tokens_of(prompt)
    qrels = Qrels({candidates.query_id: {candidates.doc_ids[0]: 1}})
    # Pairs are those of a list whose heads tell no document apart.
    even = [(candidates.query_id, candidates.doc_ids, np.zeros(documents))]
    pairs = mine_pairs(even, qrels.grades, PairOptions(), seed=1)
    # A step alone is timed: nothing is held out.
    data = TrainingData(Judged([candidates], qrels), pairs, Judged([], Qrels({})))
    tasks: dict[str, Callable[[], object]] = {}

    def training(settings: AlignOptions, layout: str = "joint") -> Training:
        """Return a training of the list on a fresh model."""
        loaded = load_model(path, dtype=dtype, device=device, layers=heads.deepest + 1)
        wrapped = add_adapter(
            loaded,
            heads,
            rank=settings.rank,
            alpha=settings.alpha,
            dropout=settings.dropout,
            projections=settings.projections,
            seed=1,
        )
        own = PromptBuilder(loaded.tokenizer, options.changed(layout=layout), loaded.context)
        reader = HeadReader(loaded, own, heads)
        if settings.tokens == "query":
            leave_documents(loaded)
            shelf = Shelf(DocumentStore(), document_state(loaded, None), loaded.device)
            reader = replace(reader, shelf=shelf)
        return Training(reader, wrapped, data, settings, seed=1)

    for projections, name in NAMES.items():
        settings = AlignOptions(projections=projections, batch=1)
        step = training(settings).take_step
        tasks[f"aligned, {name}"] = lambda step=step: step([0])
        tasks[f"fine-tuned, {name}"] = fine_tuning(
            writers[projections].model, settings, ids, answer
        )
    apart = training(settings, "block")
    tasks["aligned, all tokens in blocks"] = lambda: apart.take_step([0])
    alone = training(replace(settings, tokens="query"), "block")
    reader = alone.reader
    own = reader.builder.build(candidates, (candidates.query,))
    tasks["documents encoded"] = lambda: encode_documents(reader.model, own, reader.shelf)
    tasks["aligned, the query's tokens"] = lambda: alone.take_step([0])
    bare = bare_model(path, dtype, heads.deepest + 1, device=device)
    tasks["bare, as deep"] = lambda: prefill(bare, ids)
    times = alternate(tasks, rounds, clock(device))
    return compared(times, CASES, dtype=dtype, documents=documents, tokens=len(ids))


def fine_tuning(
    model: torch.nn.Module, settings: AlignOptions, ids: tuple[int, ...], answer: int
) -> Callable[[], float]:
    """Return one step of supervised fine-tuning: all layers, the loss on the last tokens.

    The step returns its loss.

    Args:
        model: a language model with its head; it is changed in place.
        answer: how many of the last ``ids`` it learns to write.
    """
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=rf".*layers\.\d+\.{PROJECTIONS[settings.projections]}",
    )
    wrapped = get_peft_model(model, lora).train()
    parameters = [p for p in wrapped.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0)
    sequence = torch.tensor([ids], device=model.device)

    def step() -> float:
        logits = wrapped(input_ids=sequence, use_cache=False, logits_to_keep=answer + 1).logits
        loss = cross_entropy(logits[0, :-1].float(), sequence[0, -answer:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss.item()

    return step


if __name__ == "__main__":
    run(__doc__, compare, documents=12, dtype="bfloat16")
