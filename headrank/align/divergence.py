"""When training is given up: a loss or weights that ran away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch

from headrank.errors import HeadRankError

# A loss is that of a few lists, so means over this many steps are compared.
WINDOW = 10
# Times the first mean, or the loss of a coin (log 2) where the first is less, that are no noise.
RUNAWAY = 3


class Diverged(HeadRankError):
    """Training ran away; nothing of it is worth keeping."""

    def __init__(self, step: int, what: str, learning_rate: float) -> None:
        super().__init__(
            f"step {step}: {what}; training diverged. Lower learning_rate (now "
            f"{learning_rate:g}), or train in float32"
        )


def check_gradient(step: int, loss: float, norm: float, learning_rate: float) -> None:
    """Refuse to update by a loss or gradient norm that is not finite."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise Diverged(step, f"loss {loss}, gradient norm {norm}", learning_rate)


def check_weights(step: int, weights: Iterable[torch.Tensor], learning_rate: float) -> None:
    """Refuse an update that left NaN or infinity: a checkpoint would keep them."""
    # Joined, so that a GPU is waited for once and not for each tensor.
    if not bool(torch.stack([torch.isfinite(values).all() for values in weights]).all()):
        raise Diverged(step, "the update left weights that are NaN or infinite", learning_rate)


def check_trend(losses: Sequence[float], learning_rate: float) -> None:
    """Refuse a finite loss that grows far above where it began.

    The logarithm of attention mass is bounded below, so such a loss never becomes infinite.

    Args:
        losses: of every step so far.
    """
    if len(losses) < 2 * WINDOW:
        return
    first, last = sum(losses[:WINDOW]) / WINDOW, sum(losses[-WINDOW:]) / WINDOW
    if last > RUNAWAY * max(first, math.log(2)):
        raise Diverged(
            len(losses),
            f"the last {WINDOW} steps have a mean loss of {last:.3g}, the first {WINDOW} had "
            f"{first:.3g}",
            learning_rate,
        )
