"""The first call of a vector function must not come from two threads at once.

torch hands cos, exp and their like to Intel's MKL in parts, one a thread. MKL chooses a function's
code at its first call. Where two threads make that call together, one of them may get code of half
the digits for its part (pytorch/pytorch#188792; MKL before 2025.0). Later calls are right, so a
process's first list, and no other, has scores that differ in the fifth digit, once in hundreds of
starts. One call from one thread before any other prevents it.
"""

from __future__ import annotations

import functools

FUNCTIONS = ("cos", "sin", "exp", "expm1", "log", "log1p", "log2", "sqrt", "tanh", "erf")


@functools.cache
def settle() -> None:
    """Call what rotary embeddings, softmax, activations and losses use, on one number each."""
    import torch

    for dtype in (torch.float32, torch.float64):
        number = torch.ones(1, dtype=dtype)
        for name in FUNCTIONS:
            getattr(torch, name)(number)
