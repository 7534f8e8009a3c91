"""Where the tokens of a list read apart stand in one sequence, and at which positions.

A pass computes all tokens of its documents. What the query sees of them stands in the room: all,
or in some layouts a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from headrank.models.attention import Target
from headrank.reading.prompt_tokens import Prompt, Suffix


@dataclass(frozen=True)
class Packed:
    """Where the documents of a prompt stand in the room, in the order they are computed.

    Attributes:
        head: tokens of the shared prefix.
        kept: of each document (by its place in the prompt) its tokens that the query sees, counted
            from its first one.
        starts: ``[docs]`` place of the first of them in the room.
        tokens: of prefix and documents in the room.
    """

    prompt: Prompt
    head: int
    kept: tuple[np.ndarray, ...]
    starts: np.ndarray
    tokens: int

    @classmethod
    def of(cls, prompt: Prompt, head: int) -> Packed:
        """Return the places behind a shared prefix of so many tokens."""
        blocks = prompt.blocks
        if blocks.every is None:
            kept = tuple(np.arange(width) for width in blocks.widths)
        else:
            kept = tuple(
                prompt.seen(number) - start for number, (start, _) in enumerate(blocks.documents)
            )
        counts = np.array([len(places) for places in kept])
        order = list(blocks.order)
        starts = np.empty(len(counts), dtype=np.int64)
        starts[order] = head + np.cumsum(counts[order]) - counts[order]
        return cls(prompt, head, kept, starts, head + int(counts.sum()))

    def ids(self, documents: Sequence[int]) -> list[int]:
        """Return the token ids of documents, one behind the other."""
        bounds = self.prompt.blocks.documents
        return [i for one in documents for i in self.prompt.prefix[slice(*bounds[one])]]

    def part(self, document: int) -> tuple[int, ...] | None:
        """Return which tokens of a document are in the room; None if all of them always are."""
        return None if self.prompt.blocks.every is None else tuple(self.kept[document].tolist())

    def stop(self, document: int) -> int:
        """Return the place behind a document in the room."""
        return int(self.starts[document]) + len(self.kept[document])

    def places(self, documents: Sequence[int]) -> np.ndarray:
        """Return where their tokens stand in the room."""
        return _joined([np.arange(self.starts[one], self.stop(one)) for one in documents])

    def rows(self, documents: Sequence[int]) -> np.ndarray | None:
        """Return which rows of a pass of documents go into the room; None for all."""
        if self.prompt.blocks.every is None:
            return None
        widths = self.prompt.blocks.widths[list(documents)]
        firsts = widths.cumsum() - widths
        return _joined([at + self.kept[one] for at, one in zip(firsts, documents, strict=True)])

    def positions(self, documents: Sequence[int]) -> np.ndarray:
        """Return the positions of all their tokens: each document follows the prefix."""
        widths = self.prompt.blocks.widths
        return _joined([self.head + np.arange(widths[one]) for one in documents])

    def target(self, suffix: Suffix, device: torch.device) -> Target:
        """Return what is recorded of a suffix; masses are told in the prompt's order."""
        index = np.full(self.tokens, -1, dtype=np.int64)
        told = []
        bounds = self.prompt.blocks.documents
        for number, (start, stop) in enumerate(self.prompt.spans):
            kept, first = self.kept[number], bounds[number][0]
            inside = (kept >= start - first) & (kept < stop - first)
            own = self.starts[number] + np.flatnonzero(inside)
            index[own] = number
            told.append(own)
        rows = (self.tokens + suffix.rows[0], self.tokens + suffix.rows[1])
        return Target.of(rows, index, len(self.prompt.spans), device, np.concatenate(told))

    def suffix_positions(self, suffix: Suffix) -> np.ndarray:
        """Return the positions of what the suffix sees: prefix, documents, itself."""
        blocks = self.prompt.blocks
        return np.concatenate(
            [
                np.arange(self.head),
                *(self.head + self.kept[one] for one in blocks.order),
                self.head + blocks.offset + np.arange(len(suffix.ids)),
            ]
        )


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])
