"""The name under which a transformers model takes its cache of keys and values."""

from __future__ import annotations

import functools
import inspect

import torch


def cache_argument(model: torch.nn.Module, cache: object) -> dict[str, object]:
    """Return the keyword argument that hands ``cache`` to a model's forward call.

    transformers 5.24 renamed ``past_key_values`` to ``cache`` and warns of the old name, which
    5.40 will not take any more.

    Args:
        model: of transformers, or wrapped by peft, which hands arguments on as they are.
        cache: what transformers takes for one; None for a pass without.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return {_name(type(inner)): cache}


@functools.cache
def _name(kind: type[torch.nn.Module]) -> str:
    return "cache" if "cache" in inspect.signature(kind.forward).parameters else "past_key_values"
