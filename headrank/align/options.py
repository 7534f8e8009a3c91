"""Settings of alignment training, with the advice that measurements gave beside each default."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headrank.align.losses import REGULARISERS, SCALES
from headrank.errors import HeadRankError

REFERENCES = ("none", "frozen")
SCHEDULES = ("constant", "linear", "cosine")
PROJECTIONS = ("query-key", "attention", "all")


@dataclass(frozen=True)
class AlignOptions:
    """How an adapter is trained. Every field changes the result.

    Attributes:
        rank, alpha, dropout: of LoRA.
        projections: what LoRA adapts in each layer up to the deepest selected one:
            ``query-key``, ``attention`` (also values and output) or ``all`` (also the
            feed-forward part).
        learning_rate: the highest; ``warmup`` leads up to it.
        schedule: of the rate after the warm-up, ``constant``, or ``linear`` or ``cosine`` to
            zero.
        warmup: share of all steps in which the rate rises linearly.
        epochs: passes over the training lists; each shuffles every list anew.
        batch: lists whose gradients are accumulated for one step.
        clip: largest gradient norm.
        beta: sharpness of the preference loss.
        reference: ``none`` (reference-free) or ``frozen`` (against the frozen model, as DPO).
        scale: relevance before the loss, ``log`` or ``min-max`` (see losses.relevance).
        regulariser: ``graded-kl``, ``middle-spread`` or ``none``.
        regulariser_weight: its factor in the loss.
        spread_floor: of the middle-zone hinge, in units of relevance.
        patience: stop after this many epochs without a better validation nDCG@10.
        checkpoint_every: steps between checkpoints that a killed run resumes from.
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    projections: str = "query-key"
    learning_rate: float = 1e-3
    schedule: str = "linear"
    warmup: float = 0.1
    epochs: int = 2
    batch: int = 2
    clip: float = 1.0
    beta: float = 1.0
    reference: str = "none"
    scale: str = "log"
    regulariser: str = "graded-kl"
    regulariser_weight: float = 1.0
    spread_floor: float = 0.5
    patience: int = 2
    checkpoint_every: int = 20

    def __post_init__(self) -> None:
        for name, allowed in (
            ("projections", PROJECTIONS),
            ("schedule", SCHEDULES),
            ("reference", REFERENCES),
            ("scale", SCALES),
            ("regulariser", REGULARISERS),
        ):
            if getattr(self, name) not in allowed:
                raise HeadRankError(
                    f"alignment.{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}"
                )
        for name in ("rank", "alpha", "epochs", "batch", "patience", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise HeadRankError(f"alignment.{name} is {getattr(self, name)}; use 1 or more")
        for name in ("learning_rate", "clip", "beta"):
            if not 0 < getattr(self, name) < math.inf:
                raise HeadRankError(
                    f"alignment.{name} is {getattr(self, name)}; it must be above 0 and finite"
                )
        for name in ("warmup", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise HeadRankError(
                    f"alignment.{name} is {getattr(self, name)}; it is a share in 0..1"
                )
        for name in ("regulariser_weight", "spread_floor"):
            if not 0 <= getattr(self, name) < math.inf:
                raise HeadRankError(f"alignment.{name} is {getattr(self, name)}; use 0 or more")
