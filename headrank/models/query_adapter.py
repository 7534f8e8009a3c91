"""Adapters that change a query's tokens alone: documents are computed as if there were none.

A pass holds documents or queries, never both, so a pass of documents says so and every adapted
layer leaves its adapter out. What peft offers for that is a state of the model, which threads
share.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import torch

_PASS = threading.local()
"""``documents``: whether the pass of this thread computes documents; threads may share a model."""


@contextlib.contextmanager
def documents_pass() -> Iterator[None]:
    """Leave the adapters of a query's tokens out, in this thread, inside the block."""
    before = getattr(_PASS, "documents", False)
    _PASS.documents = True
    try:
        yield
    finally:
        _PASS.documents = before


class _QueryForward:
    """The forward call of a layer whose adapter is left out where documents are computed."""

    def __init__(self, adapted: Callable[..., torch.Tensor], plain: torch.nn.Module) -> None:
        self.adapted, self.plain = adapted, plain

    def __call__(self, hidden: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        if getattr(_PASS, "documents", False):
            return self.plain(hidden)
        return self.adapted(hidden, *args, **kwargs)


def for_queries(layer: torch.nn.Module, plain: torch.nn.Module) -> None:
    """Change an adapted layer in place: its adapter counts in passes of queries only.

    Args:
        plain: the layer without its adapter.
    """
    layer.forward = _QueryForward(layer.forward, plain)
