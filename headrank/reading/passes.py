"""Documents dealt into passes, and into groups of like length whose attention is one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from headrank.models.copies import to_device

WASTE = 0.1
"""Most padding of a group of documents on a CPU, as a share of its tokens."""
WASTE_ELSEWHERE = 0.5
"""The same on a GPU, which pays for each group's kernels: with a tenth, documents of 65 to 195
tokens start half as many again, and move more bytes (``python -m benchmarks.traffic``)."""


@dataclass(frozen=True)
class Group:
    """Documents of like length, neighbours in a pass, whose attention is computed as one batch.

    Attributes:
        start, stop: their rows in the pass.
        count: documents.
        width: tokens of the longest.
        index: ``[count * width]`` row of each place of the batch; places behind a document's end
            repeat its last row. None if all are equally long.
        kept: ``[rows]`` places of the batch that are no padding.
    """

    start: int
    stop: int
    count: int
    width: int
    index: torch.Tensor | None = None
    kept: torch.Tensor | None = None

    def batch(self, states: torch.Tensor) -> torch.Tensor:
        """Return ``[count, heads, width, dim]`` of the documents from ``[1, heads, rows, dim]``."""
        if self.index is None:
            own = states[0, :, self.start : self.stop]
        else:
            own = states[0].index_select(1, self.index)
        return own.unflatten(1, (self.count, self.width)).transpose(0, 1)

    def rows(self, output: torch.Tensor) -> torch.Tensor:
        """Return ``[1, rows, heads, dim]`` from ``[count, width, heads, dim]``."""
        flat = output.flatten(0, 1)
        return (flat if self.kept is None else flat.index_select(0, self.kept))[None]


def grouped(
    widths: Sequence[int], first: int, device: torch.device, waste: float | None = None
) -> list[Group]:
    """Return the groups of documents that follow one another from row ``first``.

    Args:
        widths: tokens of each document, ascending.
        waste: most padding of a group, as a share of its tokens; None takes that of the device.
    """
    if waste is None:
        waste = WASTE if device.type == "cpu" else WASTE_ELSEWHERE
    groups, begin = [], 0
    ends = np.cumsum(widths)
    while begin < len(widths):
        before = int(ends[begin - 1]) if begin else 0
        stop = begin + 1
        while stop < len(widths) and widths[stop] * (stop + 1 - begin) <= (1 + waste) * (
            ends[stop] - before
        ):
            stop += 1
        groups.append(_group(widths[begin:stop], first + before, device))
        begin = stop
    return groups


def _group(widths: Sequence[int], start: int, device: torch.device) -> Group:
    sizes = np.asarray(widths)
    width, rows = int(sizes.max()), int(sizes.sum())
    shape = (start, start + rows, len(sizes), width)
    if (sizes == width).all():
        return Group(*shape)
    places = np.arange(width)
    starts = start + np.cumsum(sizes) - sizes
    index = starts[:, None] + np.minimum(places, sizes[:, None] - 1)
    kept = np.flatnonzero(places < sizes[:, None])
    return Group(
        *shape,
        to_device(index.ravel(), device),
        to_device(kept, device),
    )


def passes(order: Sequence[int], widths: np.ndarray, budget: int) -> list[list[int]]:
    """Return the documents of each pass: neighbours of the order, at most ``budget`` tokens."""
    found: list[list[int]] = []
    tokens = budget + 1
    for document in order:
        tokens += int(widths[document])
        if tokens > budget:
            found.append([])
            tokens = int(widths[document])
        found[-1].append(document)
    return found
