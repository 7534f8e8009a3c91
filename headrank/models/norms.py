"""Norms of a decoder as one kernel on a GPU.

transformers writes a root-mean-square norm as nine operations, and each reads and writes all
activations. Small decoders wait for that: norms move half of the bytes of a prefill of Qwen3-0.6B
(``python -m benchmarks.traffic``). torch has one kernel for it on a GPU. It rounds once, where
transformers rounds before and after the weights. On the CPU torch would do the same nine
operations, so transformers' own stay, to the last bit.
"""

from __future__ import annotations

import functools

import torch
from torch.nn.functional import rms_norm

# Others of like names are other functions: each was compared with its definition.
PLAIN = {f"{name}RMSNorm" for name in ("Granite", "Llama", "Mistral", "Qwen2", "Qwen3")}
GEMMA = {"Gemma3RMSNorm"}


def fused(norm: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Return ``[..., width]`` of rows ``[..., width]``: what a norm of `fuse_norms` gives."""
    if type(norm).__name__.removeprefix("Fused") in PLAIN:
        return rms_norm(rows, norm.weight.shape, norm.weight, norm.variance_epsilon)
    # Weights count from 1, and are multiplied before the rounding.
    weight = 1.0 + norm.weight.float()
    return rms_norm(rows.float(), weight.shape, weight, norm.eps).to(rows.dtype)


class _Fused:
    """Put before a norm's own class."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the normalised rows ``[..., width]``."""
        alike = rows.dtype == self.weight.dtype  # the kernel takes no others
        return fused(self, rows) if alike and not rows.is_cpu else super().forward(rows)


@functools.cache
def _class(own: type[torch.nn.Module]) -> type[torch.nn.Module]:
    return type(f"Fused{own.__name__}", (_Fused, own), {})


def fuse_norms(model: torch.nn.Module) -> None:
    """Let a model's root-mean-square norms be one kernel each, wherever it is not on the CPU."""
    for module in model.modules():
        if type(module).__name__ in PLAIN | GEMMA:
            module.__class__ = _class(type(module))
