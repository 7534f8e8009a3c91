"""Documents read apart against a bare joint prefill of the same list, with and without a store.

python -m benchmarks.apart resources/models/smollm2
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd
import torch

from benchmarks.cases import Case, compared
from benchmarks.command import arguments, write
from benchmarks.material import bare_model, passages, prefill, some_heads, tokens_of
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading.document_store import DocumentStore
from headrank.timing.stopwatch import alternate
from headrank.timing.systems import clock

LIMIT = 8 * 10**9  # bytes, above any list that is measured
# The most that each may cost at so many documents, where it is known.
TARGETS = {20: (0.55, 0.03), 100: (0.40, 0.015)}


def cases(documents: int) -> dict[str, Case]:
    """Return the cases of one length of lists: task, what it is compared with, the target."""
    block, stored = TARGETS.get(documents, (None, None))
    return {
        "8 heads, joint": ("joint", "bare", None),
        "8 heads, block": ("block", "bare", block),
        "8 heads, block, documents stored": ("stored", "bare", stored),
    }


def compare(
    path: str | os.PathLike,
    documents: Sequence[int],
    *,
    dtype: str = "bfloat16",
    device: str = "cpu",
    words: int = 70,
    rounds: int = 5,
) -> pd.DataFrame:
    """Return one row a case and length of lists.

    Ratios of seconds (median, lowest, highest), targets, tokens, and megabytes of the documents
    where they are stored.
    """
    bare = bare_model(path, dtype, device=device)
    shape = bare.config
    heads = some_heads(shape.num_hidden_layers, shape.num_attention_heads)
    made = {"order": "first-stage", "dtype": dtype, "device": device}
    store = DocumentStore(LIMIT)
    block = PromptOptions(layout="block")
    rankers = {
        "joint": HeadRanker.from_pretrained(path, heads, **made),
        "block": HeadRanker.from_pretrained(path, heads, prompt=block, **made),
        "stored": HeadRanker.from_pretrained(path, heads, prompt=block, store=store, **made),
    }
    tables = []
    for count in documents:
        candidates = passages(count, words)
        store.clear()
        rankers["stored"].encode(candidates.passages)
        ids = tokens_of(rankers["joint"].builder.build(candidates, (candidates.query,)))
        tasks = {"bare": lambda ids=ids: prefill(bare, ids)}
        for name, ranker in rankers.items():
            tasks[name] = lambda ranker=ranker, one=candidates: list(ranker.rerank_lists([one]))
        times = alternate(tasks, rounds, clock(device))
        table = compared(times, cases(count), dtype=dtype, documents=count, tokens=len(ids))
        megabytes = [store.bytes / 1e6 if "stored" in case else None for case in table["case"]]
        tables.append(table.assign(megabytes=megabytes))
    return pd.concat(tables, ignore_index=True)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, dtype=True)
    parser.set_defaults(dtype="bfloat16")
    parser.add_argument("--documents", type=int, nargs="+", default=[20, 100], metavar="N")
    parser.add_argument("--words", type=int, default=70)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = compare(
        options.model,
        options.documents,
        dtype=options.dtype,
        device=options.device,
        words=options.words,
        rounds=options.rounds,
    )
    write(table, options.output)


if __name__ == "__main__":
    main()
