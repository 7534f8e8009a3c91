"""Reading against a bare prefill of the same tokens, in one process.

python -m benchmarks.reading resources/models/smollm2
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd
import torch

from benchmarks.cases import compared
from benchmarks.command import arguments, write
from benchmarks.material import bare_model, passages, prefill, ranker_of, some_heads, tokens_of
from headrank.models.decoder import load_model
from headrank.options.prompt import PromptOptions
from headrank.reading.lists import read_list
from headrank.reading.prompt import PromptBuilder
from headrank.reading.recording import ReadOptions
from headrank.timing.stopwatch import alternate, ratio
from headrank.timing.systems import clock

# Case: task, what it is compared with, the most it may cost.
CASES = {
    "all heads, full depth": ("all heads", "bare", 1.05),
    "8 heads, against full depth": ("8 heads", "bare", 0.62),
    "8 heads, against as many layers": ("8 heads", "bare, as deep", 1.03),
    "8 heads, calibrated": ("8 heads, calibrated", "bare, as deep", None),
    "calibration suffix": ("all heads, calibrated", "all heads", 1.06),
}


def compare(
    path: str | os.PathLike,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    documents: int = 20,
    words: int = 100,
    rounds: int = 5,
) -> pd.DataFrame:
    """Return one row a case: ratio of seconds (median, lowest, highest), target, tokens."""
    candidates = passages(documents, words)
    full = load_model(path, dtype=dtype, device=device)
    builder = PromptBuilder(full.tokenizer, PromptOptions(), full.context)
    heads = some_heads(full.layers, full.heads)
    rankers = {
        method: ranker_of(path, heads, method, dtype=dtype, device=device)
        for method in ("headrank", "core")
    }
    bare = bare_model(path, dtype, device=device)
    as_deep = bare_model(path, dtype, heads.deepest + 1, device=device)
    ids = tokens_of(builder.build(candidates, (candidates.query,)))
    times = alternate(
        {
            "bare": lambda: prefill(bare, ids),
            "bare, as deep": lambda: prefill(as_deep, ids),
            "all heads": lambda: read_list(full, builder, candidates, ReadOptions(calibrate=False)),
            "all heads, calibrated": lambda: read_list(full, builder, candidates),
            "8 heads": lambda: list(rankers["headrank"].rerank_lists([candidates])),
            "8 heads, calibrated": lambda: list(rankers["core"].rerank_lists([candidates])),
        },
        rounds,
        clock(device),
    )
    return compared(times, CASES, dtype=dtype, documents=documents, tokens=len(ids))


def growth(
    path: str | os.PathLike,
    documents: Sequence[int],
    *,
    dtype: str = "float32",
    device: str = "cpu",
    words: int = 50,
    rounds: int = 5,
) -> pd.DataFrame:
    """Return one row a list length: tokens, and seconds of 8 heads and of a bare prefill."""
    full = bare_model(path, dtype, device=device)
    shape = full.config
    heads = some_heads(shape.num_hidden_layers, shape.num_attention_heads)
    ranker = ranker_of(path, heads, "headrank", dtype=dtype, device=device)
    rows = []
    for count in documents:
        candidates = passages(count, words)
        ids = tokens_of(ranker.builder.build(candidates, (candidates.query,)))
        times = alternate(
            {
                "bare": lambda ids=ids: prefill(full, ids),
                "8 heads": lambda one=candidates: list(ranker.rerank_lists([one])),
            },
            rounds,
            clock(device),
        )
        median, low, high = ratio(times, "8 heads", "bare")
        rows.append(
            {
                "documents": count,
                "dtype": dtype,
                "tokens": len(ids),
                "rounds": rounds,
                "seconds": float(pd.Series(times["8 heads"]).median()),
                "bare_seconds": float(pd.Series(times["bare"]).median()),
                "ratio": median,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, dtype=True)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--growth", type=int, nargs="+", metavar="N", help="list lengths instead")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = {
        "dtype": options.dtype,
        "device": options.device,
        "words": options.words,
        "rounds": options.rounds,
    }
    if options.growth:
        table = growth(options.model, options.growth, **settings)
    else:
        table = compare(options.model, documents=options.documents, **settings)
    write(table, options.output)


if __name__ == "__main__":
    main()
