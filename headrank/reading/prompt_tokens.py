"""A prompt in token ids: the prefix with its documents, and the suffixes that ask about them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from headrank.reading.layout import Blocks


@dataclass(frozen=True)
class Suffix:
    """Token ids after the documents, and the rows ``[start, stop)`` whose attention counts."""

    ids: tuple[int, ...]
    rows: tuple[int, int]


@dataclass(frozen=True)
class Prompt:
    """A prompt in token ids.

    Attributes:
        prefix: ids of everything up to the instruction.
        spans: ``[start, stop)`` of each document's text within the prefix.
        suffixes: the query's first, then any others asked for.
        tokens: of each document before it was cut. A text much longer than its budget is not
            encoded whole; its number is then what was counted, the least that it has.
        blocks: how documents are read apart; None in layout joint.
    """

    prefix: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    suffixes: tuple[Suffix, ...]
    tokens: tuple[int, ...] = field(default=(), compare=False)
    blocks: Blocks | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Return the tokens that each document keeps."""
        return tuple(stop - start for start, stop in self.spans)

    def seen(self, number: int) -> np.ndarray:
        """Return the places in the prefix of a document's text tokens that the query sees."""
        start, stop = self.spans[number]
        every = 1 if self.blocks is None or self.blocks.every is None else self.blocks.every
        return np.arange(stop - 1, start - 1, -every)[::-1]

    @property
    def token_spans(self) -> np.ndarray:
        """Return ``[docs, 2]``: each document's tokens among those whose mass is told."""
        counts = np.array([len(self.seen(number)) for number in range(len(self.spans))])
        ends = counts.cumsum()
        return np.stack([ends - counts, ends], axis=1)

    @property
    def length(self) -> int:
        """Return the tokens of prefix and longest suffix; in layout joint its last position."""
        return len(self.prefix) + max(len(suffix.ids) for suffix in self.suffixes)

    def document_index(self) -> np.ndarray:
        """Return ``[prefix tokens]``: the document each token belongs to, -1 for none."""
        index = np.full(len(self.prefix), -1, dtype=np.int64)
        for number, (start, stop) in enumerate(self.spans):
            index[start:stop] = number
        return index
