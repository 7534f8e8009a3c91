"""How heads are selected from a profile."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from headrank.errors import HeadRankError
from headrank.settings.classes import Rules, options
from headrank.settings.kinds import Count, FromZero, Positive, Says
from headrank.settings.words import choice

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


SELECTIONS: Mapping[str, SelectionOptions] = {
    "headrank": SelectionOptions("graded", heads=8, entropy_weight=0.1),
    "core": SelectionOptions("contrastive", heads=8, entropy_weight=0.0),
    "qrhead": SelectionOptions("mass", heads=16, entropy_weight=0.0),
}
"""How each method selects its heads; the entropy's weight is ours."""


def selection(method: str = "headrank", **changes: Any) -> SelectionOptions:
    """Return a method's selection, with some fields of `SelectionOptions` changed.

    Raises:
        HeadRankError: an unknown method or field, or a value that is not allowed.
    """
    if not isinstance(method, str) or method not in SELECTIONS:
        raise HeadRankError(choice("method", method, SELECTIONS))
    own = {
        f.name: getattr(SELECTIONS[method], f.name) for f in dataclasses.fields(SelectionOptions)
    }
    return SelectionOptions(**own | changes)
