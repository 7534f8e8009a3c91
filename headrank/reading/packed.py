"""Where the tokens of a list read apart stand in one sequence, and at which positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from headrank.models.attention import Target
from headrank.reading.prompt import Prompt, Suffix


@dataclass(frozen=True)
class Packed:
    """Where the documents of a prompt stand in the sequence, in the order they are computed.

    Attributes:
        head: tokens of the shared prefix.
        starts: ``[docs]`` first token of each document (by its place in the prompt).
        tokens: of prefix and documents.
    """

    prompt: Prompt
    head: int
    starts: np.ndarray
    tokens: int

    @classmethod
    def of(cls, prompt: Prompt, head: int) -> Packed:
        """Return the places behind a shared prefix of so many tokens."""
        blocks = prompt.blocks
        widths = blocks.widths
        order = list(blocks.order)
        starts = np.empty(len(widths), dtype=np.int64)
        starts[order] = head + np.cumsum(widths[order]) - widths[order]
        return cls(prompt, head, starts, head + int(widths.sum()))

    def ids(self, documents: Sequence[int]) -> list[int]:
        """Return the token ids of documents, one behind the other."""
        bounds = self.prompt.blocks.documents
        return [i for one in documents for i in self.prompt.prefix[slice(*bounds[one])]]

    def places(self, documents: Sequence[int]) -> np.ndarray:
        """Return where their tokens stand in the sequence."""
        widths = self.prompt.blocks.widths
        parts = [self.starts[one] + np.arange(widths[one]) for one in documents]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def positions(self, documents: Sequence[int]) -> np.ndarray:
        """Return the positions of their tokens: each document follows the prefix."""
        widths = self.prompt.blocks.widths
        parts = [self.head + np.arange(widths[one]) for one in documents]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def target(self, suffix: Suffix, device: torch.device) -> Target:
        """Return what is recorded of a suffix; masses are told in the prompt's order."""
        index = np.full(self.tokens, -1, dtype=np.int64)
        told = []
        bounds = self.prompt.blocks.documents
        for number, (start, stop) in enumerate(self.prompt.spans):
            place = self.starts[number] + start - bounds[number][0]
            index[place : place + stop - start] = number
            told.append(np.arange(place, place + stop - start))
        return Target(
            rows=(self.tokens + suffix.rows[0], self.tokens + suffix.rows[1]),
            index=torch.from_numpy(index).to(device),
            documents=len(self.prompt.spans),
            order=torch.from_numpy(np.concatenate(told)).to(device),
        )

    def suffix_positions(self, suffix: Suffix) -> np.ndarray:
        """Return the positions of prefix, documents and suffix, as the suffix sees them."""
        blocks = self.prompt.blocks
        return np.concatenate(
            [
                np.arange(self.head),
                self.positions(blocks.order),
                self.head + blocks.offset + np.arange(len(suffix.ids)),
            ]
        )
