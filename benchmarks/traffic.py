"""What a pass asks of a GPU: kernels, memory moved and arithmetic, counted without one.

python -m benchmarks.traffic --models qwen3-0.6b --documents 40 100 --batches 1 8

The tasks are those of ``benchmarks.gpu``, on tensors that have a shape and no values, so a laptop
counts a model of any size. The time of a row is arithmetic and not a measurement: of each operation
the longer of its bytes at the card's bandwidth and its products at the card's peak, both of the
data sheet. A card needs more; what it cannot need less of shows here.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.command import write
from benchmarks.flops import PEAKS
from benchmarks.gpu_tasks import NEW, Bench, Settings
from benchmarks.made import SHAPES, Lengths
from headrank.data.heads import HeadSet, by_layer
from headrank.models.attention import Recorder
from headrank.models.decoder import LoadedModel
from headrank.options.fold import Fold
from headrank.reading.document_store import Shelf
from headrank.reading.prefill import read_prompts
from headrank.reading.prompt_tokens import Prompt
from headrank.reading.recording import Recording

CARD = "NVIDIA H100 80GB HBM3"
BANDWIDTH = 3.35e12
"""Bytes a second of that card's memory, by its data sheet."""

CAUSAL = 5  # place of the argument in torch's attention
# They give memory out, or a tensor another name: no kernel is started.
_NO_KERNEL = {"empty", "new_empty", "empty_like", "detach", "_unsafe_view", "lift_fresh"}
# They read of their first operand as much as they give back.
_GATHERS = {"embedding", "index", "index_select", "gather"}


@dataclass
class Traffic(TorchDispatchMode):
    """Counts the operations that run inside it on tensors of one device.

    Attributes:
        device: its type.
        kernels: operations by name, views left out.
        bytes: read and written by operations of each name; what several operands share counts once.
        flops: of matrix products and attention; of causal attention the half that is seen.
        seconds: on the card, at least, by name.
    """

    device: str = "meta"
    kernels: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    flops: float = 0.0
    seconds: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Run an operation and count it."""
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        name = function.overloadpacket.__name__
        read, made = self._own((args, kwargs)), self._own(result)
        places = {one.untyped_storage()._cdata for one in read}
        view = not function._schema.is_mutable and all(
            one.untyped_storage()._cdata in places for one in made
        )
        if name in _NO_KERNEL or not made or (view and read):
            return result
        gathered = 0
        if name in _GATHERS:
            gathered = sum(one.numel() * one.element_size() for one in made)
            read = self._own((args[1:], kwargs))
        moved = gathered + sum(
            {
                (one.untyped_storage()._cdata, one.storage_offset(), tuple(one.shape)): (
                    one.numel() * one.element_size()
                )
                for one in (*read, *made)
            }.values()
        )
        products = _flops(name, args, kwargs)
        self.kernels[name] += 1
        self.bytes[name] += moved
        self.flops += products
        self.seconds[name] += max(moved / BANDWIDTH, products / (PEAKS[CARD] * 1e12))
        return result

    def _own(self, values: object) -> list[torch.Tensor]:
        return [
            one
            for one in tree_leaves(values)
            if isinstance(one, torch.Tensor) and one.device.type == self.device
        ]


def _flops(name: str, args: Sequence, kwargs: dict) -> float:
    """Return the floating-point operations of a matrix product or of attention; else 0."""
    if name in ("linear", "matmul"):
        right = args[1].shape[0] if name == "linear" else args[1].shape[-1]
        return 2.0 * args[0].numel() * right
    if name == "scaled_dot_product_attention":
        query, key = args[0], args[1]
        causal = kwargs.get("is_causal", len(args) > CAUSAL and args[CAUSAL])
        return 4.0 * query.numel() * key.shape[-2] / (2 if causal else 1)
    return 0.0


def read(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    heads: HeadSet | None,
    fold: Fold,
    shelf: Shelf | None = None,
) -> list[Recorder]:
    """Read lists as ``score_prompts`` does; sums without values cannot be folded."""
    recording = Recording(heads=None if heads is None else by_layer(heads))
    return read_prompts(model, prompts, recording, shelf=shelf)


def count(model: str, documents: int, batch: int, lengths: Lengths | None = None) -> pd.DataFrame:
    """Return one row a task of ``benchmarks.gpu``, in bfloat16; all numbers are those of a list."""
    settings = Settings("meta", "bfloat16", lengths or Lengths(), (batch,), (), 1)
    rows = []
    for name, task in Bench(model, settings, score=read).tasks(documents, batch).items():
        if name.endswith(NEW):  # lengths are no matter here
            continue
        task.run()  # what is stored is there from now on
        with Traffic() as traffic:
            task.run()
        dearest = traffic.seconds.most_common(3)
        rows.append(
            {
                "model": model,
                "documents": documents,
                "batch": batch,
                "case": name,
                "kernels": sum(traffic.kernels.values()) / batch,
                "gb": sum(traffic.bytes.values()) / batch / 1e9,
                "tflop": traffic.flops / batch / 1e12,
                "ms_at_least": 1e3 * sum(traffic.seconds.values()) / batch,
                "dearest": ", ".join(f"{one} {1e3 * t / batch:.2f}" for one, t in dearest),
            }
        )
    return pd.DataFrame(rows)


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["qwen3-0.6b"], choices=list(SHAPES))
    parser.add_argument("--documents", type=int, nargs="+", default=[40], metavar="N")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], metavar="N")
    parser.add_argument("--output", help="CSV; default: a table on stdout")
    options = parser.parse_args(arguments)
    tables = [
        count(model, documents, batch)
        for model in options.models
        for documents in options.documents
        for batch in options.batches
    ]
    write(pd.concat(tables, ignore_index=True), options.output)


if __name__ == "__main__":
    main()
