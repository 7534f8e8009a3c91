"""What is recorded of the attention while lists are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrank.models.attention import Recorder, Target


@dataclass(frozen=True)
class Recording:
    """What one pass over prompts records.

    Attributes:
        deepest: last layer read, counting from 0; None reads all layers.
        heads: ``{layer: [head, ...]}``: these are recorded; None records every head.
        keep_tokens: also record the mass of each document token.
        keep_max_logits: also record the largest logit of each document.
    """

    deepest: int | None = None
    heads: Mapping[int, Sequence[int]] | None = None
    keep_tokens: bool = False
    keep_max_logits: bool = False

    def recorder(self, targets: Sequence[Target], last: int | None = None) -> Recorder:
        """Return an empty recorder of one suffix; with ``last`` it ends the pass in that layer."""
        return Recorder(
            targets=tuple(targets),
            layers=None if self.heads is None else frozenset(self.heads),
            heads=self.heads,
            deepest=last,
            keep_tokens=self.keep_tokens,
            keep_max_logits=self.keep_max_logits,
        )


MASSES = Recording()
"""The mass of each document, from every head of every layer."""


@dataclass(frozen=True)
class ReadOptions:
    """What the reading of a list holds, of every head of every layer that is read.

    Attributes:
        calibrate: read the content-free query as well, whose masses calibrate those of the query.
        deepest: last layer read, counting from 0; None reads all layers.
        keep_tokens: keep ``[layers, heads, document tokens]``, query less content-free query;
            without ``calibrate`` there is no such difference, and nothing is kept.
        keep_max_logits: keep ``[layers, heads, docs]``, the largest logit of each document.
    """

    calibrate: bool = True
    deepest: int | None = None
    keep_tokens: bool = False
    keep_max_logits: bool = False

    @property
    def recording(self) -> Recording:
        """Return what its passes record: calibration compares tokens, kept or not."""
        return Recording(
            deepest=self.deepest,
            keep_tokens=self.calibrate,
            keep_max_logits=self.keep_max_logits,
        )


CALIBRATED = ReadOptions()
"""Every layer, with calibration, as ICR needs it."""
