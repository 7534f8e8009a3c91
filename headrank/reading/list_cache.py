"""Room for the keys and values of a whole list: nothing in it is ever joined or copied again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from headrank.models.copies import to_device
from headrank.reading.entries import Encoded

_LENT = 10**9  # most bytes that wait for the next lists


@dataclass
class Lender:
    """Memory that lists leave for the next: fresh memory costs as much as filling it."""

    free: list[torch.Tensor] = field(default_factory=list)

    def take(self, like: torch.Tensor, count: int) -> torch.Tensor:
        """Return ``[count or more]`` numbers of a tensor's type, on its device."""
        try:
            found = self.free.pop()
        except IndexError:  # nothing, or another thread has it
            return like.new_empty(count)
        fits = (found.dtype, found.device) == (like.dtype, like.device) and len(found) >= count
        return found if fits else like.new_empty(count)

    def give(self, numbers: torch.Tensor) -> None:
        """Keep memory that nothing uses any more; torch itself does so on a GPU."""
        waiting = sum(one.nbytes for one in self.free)
        if numbers.device.type == "cpu" and waiting + numbers.nbytes <= _LENT:
            self.free.append(numbers)


@dataclass
class Room:
    """Keys and values of a whole list: prefix, documents in the order computed, a suffix.

    A cache as a model asks for it, by duck type. The deepest layer has no values: the pass ends
    before they are used.

    Attributes:
        layers: read.
        tokens: of prefix and documents that the query sees.
        spare: tokens of the longest suffix.
        keys, values: ``[layers, key heads, tokens + spare, dim]``, the values of one layer less;
            made when the first pass tells their shape.
        places: where the pass at hand writes: a slice, or positions.
        rows: which rows of the pass are written there; None for all.
        lender: whose memory is used and, by :meth:`leave`, given back; None takes fresh memory.
    """

    layers: int
    tokens: int
    spare: int
    keys: torch.Tensor | None = None
    values: torch.Tensor | None = None
    places: slice | torch.Tensor = field(default_factory=lambda: slice(0, 0))
    rows: torch.Tensor | None = None
    lender: Lender | None = None
    _memory: torch.Tensor | None = None

    def allocate(self, like: torch.Tensor, heads: int, dim: int) -> None:
        """Take the memory, of the kind of a tensor."""
        shape = (heads, self.tokens + self.spare, dim)
        layer = math.prod(shape)
        count = (2 * self.layers - 1) * layer
        self._memory = (self.lender or Lender()).take(like, count)
        keys, values = self._memory[:count].split(
            [self.layers * layer, count - self.layers * layer]
        )
        self.keys = keys.view(self.layers, *shape)
        self.values = values.view(self.layers - 1, *shape)

    def leave(self) -> None:
        """Give the memory back; nothing may read it any more."""
        if self.lender is not None and self._memory is not None:
            self.lender.give(self._memory)
        self.keys = self.values = self._memory = None

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep a layer's new keys and values of a pass of documents; return them.

        Documents see themselves, and the prefix, which :meth:`prefix` gives.
        """
        if self.keys is None:
            self.allocate(keys, keys.shape[1], keys.shape[3])
        self._write(self.keys[layer_idx], keys[0])
        if layer_idx < self.layers - 1:
            self._write(self.values[layer_idx], values[0])
        return keys, values

    def append(self, keys: torch.Tensor, values: torch.Tensor, layer: int) -> None:
        """Put a layer's keys and values ``[key heads, rows, dim]`` of a suffix behind the list."""
        stop = self.tokens + keys.shape[1]
        self.keys[layer, :, self.tokens : stop] = keys
        if layer < self.layers - 1:
            self.values[layer, :, self.tokens : stop] = values

    def seen(self, layer: int, rows: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return what a suffix of so many rows sees: ``[1, key heads, tokens + rows, dim]``.

        The deepest layer has no values.
        """
        stop = self.tokens + rows
        values = None if layer == self.layers - 1 else self.values[layer, None, :, :stop]
        return self.keys[layer, None, :, :stop], values

    def _write(self, own: torch.Tensor, new: torch.Tensor) -> None:
        if self.rows is not None:
            new = new.index_select(1, self.rows)
        if isinstance(self.places, slice):
            own[:, self.places] = new
        else:
            own.index_copy_(1, self.places, new)

    def write_at(
        self, places: np.ndarray, device: torch.device, rows: np.ndarray | None = None
    ) -> None:
        """Let the next pass write some of its rows, or all, at these places.

        Places that follow one another are a slice.
        """
        self.rows = None if rows is None else to_device(rows, device)
        first, last = int(places[0]), int(places[-1]) + 1
        if last - first == len(places):
            self.places = slice(first, last)
        else:
            self.places = to_device(places, device)

    def put(self, entries: Mapping[int, Encoded], like: torch.Tensor) -> None:
        """Copy stored parts to the places where each begins.

        Args:
            like: of the model's type, on its device.
        """
        if not entries:
            return
        parts = [entries[start] for start in sorted(entries)]
        heads, dim = parts[0].keys.shape[1], parts[0].keys.shape[3]
        if self.keys is None:
            self.allocate(like, heads, dim)
        whole = sum(part.tokens for part in parts) == self.tokens
        if whole and all(part.key_scales is None for part in parts):
            # All of it: joined at once.
            torch.cat([part.keys for part in parts], dim=2, out=self.keys[:, :, : self.tokens])
            torch.cat([part.values for part in parts], dim=2, out=self.values[:, :, : self.tokens])
            return
        for start, part in entries.items():
            stop = start + part.tokens
            part.write(self.keys[:, :, start:stop], self.values[:, :, start:stop])

    def part(self, start: int, stop: int) -> Encoded:
        """Return a copy of some tokens' keys and values."""
        return Encoded(self.keys[:, :, start:stop].clone(), self.values[:, :, start:stop].clone())

    def prefix(self, layer: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values ``[1, key heads, tokens, dim]`` of the shared prefix."""
        return self.keys[layer, None, :, :tokens], self.values[layer, None, :, :tokens]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the tokens that are kept; positions are given, so nothing is derived from it."""
        return self.tokens


@dataclass
class TracedRoom:
    """A filled room behind which a suffix is read with gradients: nothing of it is changed.

    Attributes:
        room: of the list; its keys and values take no gradients.
        own: keys and values ``[key heads, rows, dim]`` of the suffix in the layer at hand.
    """

    room: Room
    own: tuple[torch.Tensor, torch.Tensor] | None = None

    def append(self, keys: torch.Tensor, values: torch.Tensor, layer: int) -> None:
        """Take the suffix's keys and values of a layer."""
        self.own = (keys, values)

    def seen(self, layer: int, rows: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return what the suffix sees, as `Room.seen` does."""
        list_keys, list_values = self.room.seen(layer, 0)
        keys, values = self.own
        return (
            torch.cat([list_keys, keys[None]], dim=2),
            None if list_values is None else torch.cat([list_values, values[None]], dim=2),
        )


@dataclass(frozen=True)
class SuffixRooms:
    """The cache of a pass of suffixes, each of which has its own list behind it.

    Attributes:
        rooms: of the lists.
        rows: of each suffix in the pass, one suffix behind the other.
    """

    rooms: Sequence[Room | TracedRoom]
    rows: Sequence[int]

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put each suffix's keys and values of a layer behind its list; return the pass's own."""
        start = 0
        for room, rows in zip(self.rooms, self.rows, strict=True):
            own = slice(start, start + rows)
            room.append(keys[0, :, own], values[0, :, own], layer_idx)
            start += rows
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return 0: positions are given, so nothing is derived from it."""
        return 0
