"""A training step against supervised fine-tuning of the same tokens, in one process.

python -m benchmarks.training resources/models/smollm2
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pandas as pd
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from benchmarks.cases import compared
from benchmarks.command import arguments, write
from benchmarks.material import bare_model, passages, prefill, some_heads, tokens_of
from headrank.align.adapter import PROJECTIONS, add_adapter
from headrank.align.options import AlignOptions
from headrank.align.train import Training
from headrank.costs import alternate
from headrank.latency import clock
from headrank.models import DTYPES, load_model
from headrank.pairs import Pair
from headrank.prompt import PromptBuilder, PromptOptions
from headrank.trec import Qrels

NAMES = {"query-key": "queries and keys", "all": "all projections"}
# Case: task, what it is compared with, the most it may cost.
CASES = {
    f"step, {name}, against {against}": (f"aligned, {name}", reference.format(name), target)
    for name in NAMES.values()
    for against, reference, target in (
        ("fine-tuning at full depth", "fine-tuned, {}", 0.65),
        ("a prefill of as many layers", "bare, as deep", None),
    )
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
    model = load_model(path, dtype=dtype, device=device)
    heads = some_heads(model.layers, model.heads)
    options = PromptOptions(document_tokens=document_tokens)
    builder = PromptBuilder(model.tokenizer, options, model.context)
    prompt = builder.build(candidates, (candidates.query,))
    answer = len(prompt.suffixes[0].ids)
    ids = tokens_of(prompt)
    best = candidates.doc_ids[0]
    matched = [
        (
            candidates,
            [
                Pair(candidates.query_id, best, other, 1, 0, 0.0, 0, place)
                for place, other in enumerate(candidates.doc_ids[1:], 1)
            ],
        )
    ]
    qrels = Qrels({candidates.query_id: {best: 1}})
    tasks: dict[str, Callable[[], object]] = {}
    for projections, name in NAMES.items():
        settings = AlignOptions(projections=projections, batch=1)
        loaded = load_model(path, dtype=dtype, device=device, layers=heads.deepest + 1)
        wrapped = add_adapter(
            loaded,
            heads,
            rank=settings.rank,
            alpha=settings.alpha,
            dropout=settings.dropout,
            projections=projections,
            seed=1,
        )
        training = Training(loaded, builder, heads, wrapped, matched, qrels, settings, seed=1)
        tasks[f"aligned, {name}"] = lambda one=training: one.take_step([0])
        tasks[f"fine-tuned, {name}"] = fine_tuning(path, dtype, device, settings, ids, answer)
    bare = bare_model(path, dtype, heads.deepest + 1, device=device)
    tasks["bare, as deep"] = lambda: prefill(bare, ids)
    times = alternate(tasks, rounds, clock(device))
    return compared(times, CASES, dtype=dtype, documents=documents, tokens=len(ids))


def fine_tuning(
    path: str | os.PathLike,
    dtype: str,
    device: str,
    settings: AlignOptions,
    ids: tuple[int, ...],
    answer: int,
) -> Callable[[], float]:
    """Return one step of supervised fine-tuning: all layers, the loss on the last tokens.

    The step returns its loss.
    """
    model = AutoModelForCausalLM.from_pretrained(
        path,
        dtype=DTYPES[dtype],
        attn_implementation="sdpa",
        trust_remote_code=False,
        use_safetensors=True,
    )
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=rf".*layers\.\d+\.{PROJECTIONS[settings.projections]}",
    )
    wrapped = get_peft_model(model.requires_grad_(False).to(device), lora).train()
    parameters = [p for p in wrapped.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0)
    sequence = torch.tensor([ids], device=device)

    def step() -> float:
        logits = wrapped(input_ids=sequence, use_cache=False, logits_to_keep=answer + 1).logits
        loss = cross_entropy(logits[0, :-1].float(), sequence[0, -answer:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss.item()

    return step


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, dtype=True)
    parser.set_defaults(dtype="bfloat16")
    parser.add_argument("--documents", type=int, default=12)
    parser.add_argument("--document-tokens", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = compare(
        options.model,
        dtype=options.dtype,
        device=options.device,
        documents=options.documents,
        document_tokens=options.document_tokens,
        rounds=options.rounds,
    )
    write(table, options.output)


if __name__ == "__main__":
    main()
