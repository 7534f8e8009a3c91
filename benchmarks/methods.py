"""Attention against generation on the same list: passes, tokens, seconds.

python -m benchmarks.methods resources/models/smollm2
"""

from __future__ import annotations

import os

import pandas as pd

from benchmarks.command import run
from benchmarks.material import passages, ranker_of, some_heads
from headrank.baselines.generation.model import load_generator
from headrank.baselines.generation.protocols import GenerativeMethod
from headrank.timing.stopwatch import costs, per_list
from headrank.timing.systems import attention_system, clock, generative_system


def compare(
    path: str | os.PathLike,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    documents: int = 20,
    words: int = 100,
    rounds: int = 5,
) -> pd.DataFrame:
    """Return one row a method: what one list of passages costs."""
    candidates = passages(documents, words)
    generator = load_generator(path, dtype=dtype, device=device)
    shape = generator.model.config
    heads = some_heads(shape.num_hidden_layers, shape.num_attention_heads)
    systems = {
        method: attention_system(ranker_of(path, heads, method, dtype=dtype, device=device))
        for method in ("headrank", "core", "icr")
    }
    for protocol in ("listwise", "pointwise"):
        systems[protocol] = generative_system(generator, GenerativeMethod(protocol))
    table = per_list(costs(systems, [candidates], rounds, clock(device)))
    fastest = table.loc[table["method"] == "headrank", "seconds"].item()
    return table.assign(dtype=dtype, documents=documents, ratio=table["seconds"] / fastest).drop(
        columns=["lists"]
    )


if __name__ == "__main__":
    run(__doc__, compare, documents=20)
