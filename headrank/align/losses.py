"""Losses in attention space: preferences between documents, and the shape of the whole list.

The paper (arXiv 2604.17237) states preference optimisation on continuous attention
scores with a distribution regulariser; the formulas are not public, so each form here is
[ours] and an option.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from headrank.align.options import SCALES
from headrank.errors import HeadRankError
from headrank.options.fold import MAX_LOGIT

_TINY = 1e-12


def relevance(mass: Tensor, scale: str = "log", width: float = 8.0) -> Tensor:
    """Return ``[docs]`` relevance from ``[heads, docs]`` masses of the selected heads.

    Args:
        mass: with scale ``max-logit`` not masses but largest logits.
        scale: ``log`` of the sum over heads (the relevance z); ``min-max`` of it stretched to
            ``[0, width]`` (QRRanker, arXiv 2602.12192, width 8), which is free of the list's
            total mass; or ``max-logit``, the mean over heads, as the fold of that name.
    """
    if scale == MAX_LOGIT:
        return mass.mean(dim=0)
    total = mass.sum(dim=0)
    if scale == "log":
        return total.clamp_min(_TINY).log()
    if scale == "min-max":
        low, high = total.min(), total.max()
        return width * (total - low) / (high - low).clamp_min(_TINY)
    raise HeadRankError(f"scale {scale!r} is unknown; allowed: {', '.join(SCALES)}")


def preference_loss(
    z: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    beta: float,
    reference: Tensor | None = None,
) -> Tensor:
    """Return the mean of ``-log sigmoid(beta * (m - m_ref))`` over pairs, ``m = z_i - z_j``.

    Args:
        z: ``[docs]`` relevance.
        chosen, rejected: ``[pairs]`` document indices.
        reference: ``[pairs]`` margins of the frozen model (as DPO, arXiv 2305.18290); None
            is reference-free.
    """
    margins = z[chosen] - z[rejected]
    if reference is not None:
        margins = margins - reference
    return functional.softplus(-beta * margins).mean()


def graded_kl(z: Tensor, grades: Tensor) -> Tensor:
    """Return ``KL(target || softmax(z))`` over the list.

    The target gives each document mass in proportion to its gain ``2^grade - 1``; it pulls
    the whole list towards the grades, not single pairs.
    """
    # float32 ends at grade 127, float64 beyond the highest grade that is allowed. The shares of
    # small grades are the same bits: one rounding of an exact quotient.
    gains = torch.exp2(grades.double()) - 1
    total = gains.sum()
    if total <= 0:
        return z.sum() * 0
    target = (gains / total).to(z.dtype)
    return torch.special.xlogy(target, target).sum() - (target * z.log_softmax(0)).sum()


def middle_spread(z: Tensor, floor: float) -> Tensor:
    """Return the squared shortfall of the middle zone's standard deviation below ``floor``.

    The middle zone is prompt positions n/4..3n/4, where scores run together
    (homogenisation).
    """
    count = z.shape[0]
    middle = z[count // 4 : (3 * count) // 4]
    if middle.shape[0] < 2:
        return z.sum() * 0
    # The epsilon keeps the gradient finite where all scores are equal.
    deviation = (middle.var(unbiased=False) + 1e-8).sqrt()
    return functional.relu(floor - deviation) ** 2
