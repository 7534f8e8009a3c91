"""How heads are selected from a profile."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from headrank.settings.classes import Rules, options
from headrank.settings.kinds import Count, FromZero, Positive, Says

Criterion = Literal["graded", "contrastive", "contrastive-z", "mass", "max-logit"]
CRITERIA = get_args(Criterion)
_LAYERS = "[first, last], counted from 0, or null for all"


@options("selection")
class SelectionOptions:
    """How heads are selected from a profile."""

    criterion: Criterion = "graded"
    """How well a head separates grades: `graded` (pairs of adjacent grades [ours]), `contrastive`
    (CoRe), `contrastive-z` (CoRe on z-scores [ours]), `mass` (on the relevant documents, QRHead) or
    `max-logit` (`graded` on each document's largest logit, for methods that aggregate it [ours]).
    """
    heads: Positive = 8
    """How many heads are selected; HeadRank and CoRe take 8 [paper], QRHead 16."""
    entropy_weight: FromZero = 0
    """Weight of the entropy over documents that is subtracted [paper; its value ours]; 0 leaves it
    out (CoRe, QRHead).
    """
    layers: Annotated[tuple[Count, Count] | None, Says(_LAYERS)] = None
    """Select within these layers only: `[first, last]`, counted from 0. `null` allows all."""

    def rules(self) -> Rules:
        """Yield layers in the wrong order."""
        if self.layers is not None and self.layers[0] > self.layers[1]:
            yield "layers", f"is {list(self.layers)}; allowed: [first, last] with first <= last"
