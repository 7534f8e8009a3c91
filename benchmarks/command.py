"""The command line that the benchmarks share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import pandas as pd

from headrank.io.files import atomic


def arguments(description: str, dtype: bool = False) -> argparse.ArgumentParser:
    """Return a parser of what every benchmark takes."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("model", help="folder of a model")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: 5)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", help="CSV; default: a table on stdout")
    if dtype:
        parser.add_argument(
            "--dtype", default="float32", help="float32 or bfloat16 (default: %(default)s)"
        )
        parser.add_argument("--device", default="cpu")
    return parser


def write(table: pd.DataFrame, output: str | None) -> None:
    """Write the table as CSV, or print it."""
    if output is None:
        table.to_string(sys.stdout, index=False)
        print()
        return
    with atomic(output) as temporary:
        table.to_csv(temporary, index=False)


def run(
    description: str,
    compare: Callable[..., pd.DataFrame],
    *,
    documents: int,
    dtype: str = "float32",
) -> None:
    """Run a comparison of systems on one list from the command line.

    Args:
        compare: takes the model's folder, dtype, device, documents and rounds.
        documents, dtype: defaults.
    """
    # Not above: others measure the memory of a process that begins without it.
    import torch

    parser = arguments(description, dtype=True)
    parser.set_defaults(dtype=dtype)
    parser.add_argument("--documents", type=int, default=documents)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = compare(
        options.model,
        dtype=options.dtype,
        device=options.device,
        documents=options.documents,
        rounds=options.rounds,
    )
    write(table, options.output)
