"""Time to build the prompt of a long list.

python -m benchmarks.prompting resources/models/smollm2
"""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from transformers import AutoTokenizer

from benchmarks.command import arguments, write
from benchmarks.material import passages
from headrank.options.prompt import PromptOptions
from headrank.reading.prompt import PromptBuilder
from headrank.timing.stopwatch import alternate

TARGET = 0.15  # seconds


def building(
    path: str | os.PathLike, *, documents: int = 200, words: int = 100, rounds: int = 5
) -> pd.DataFrame:
    """Return one row a budget: CPU seconds to build one prompt, without and with cutting."""
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    candidates = passages(documents, words)
    builders = {
        "whole documents": PromptBuilder(tokenizer, PromptOptions()),
        "cut to 80 tokens": PromptBuilder(tokenizer, PromptOptions(document_tokens=80)),
    }
    times = alternate(
        {name: lambda one=one: one.build(candidates) for name, one in builders.items()}, rounds
    )
    return pd.DataFrame(
        [
            {
                "case": f"prompt of {documents} documents x {words} words, {name}",
                "documents": documents,
                "tokens": builders[name].build(candidates).length,
                "rounds": rounds,
                "seconds": float(np.median(values)),
                "low": values.min(),
                "high": values.max(),
                "target": TARGET,
            }
            for name, values in times.items()
        ]
    )


def main() -> None:
    """Run from the command line."""
    options = arguments(__doc__).parse_args()
    write(building(options.model, rounds=options.rounds), options.output)


if __name__ == "__main__":
    main()
