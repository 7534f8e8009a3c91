"""Attention in blocks: what each row of a pass sees, where documents are read apart.

The shared prefix and the documents stand one behind the other in a single sequence, each document
at the positions that follow the prefix, so every linear layer works on real tokens only. Attention
alone is computed a group of documents of like length at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from headrank.models.attention import Recorder, sdpa
from headrank.models.products import slow_backward
from headrank.reading.list_cache import Room, TracedRoom
from headrank.reading.passes import Group


@dataclass(frozen=True, eq=False)
class Tail:
    """The suffix of one list: rows at the end of a pass.

    Attributes:
        rows: of the suffix.
        positions: ``[keys]`` of all that it sees, its own rows last.
        recorder: what is recorded of it.
        seen: ``[keys]`` rows of the pass that it sees, if not all.
        room: holds what it sees; None where all of it is in the pass, as where all tokens train.
    """

    rows: int
    positions: torch.Tensor
    recorder: Recorder
    seen: torch.Tensor | None = None
    room: Room | TracedRoom | None = None


@dataclass
class BlockAttention:
    """What the rows of one pass see; every layer asks it.

    Attributes:
        head: tokens of the shared prefix of the documents in this pass.
        prefix: rows of the prefix in this pass: all of it, or 0 if the room has it already.
        groups: of the documents in this pass.
        tails: the suffixes, the last rows of the pass, each with its own list.
        room: holds the prefix of a pass of documents; None if that is in the pass.
    """

    head: int = 0
    prefix: int = 0
    groups: Sequence[Group] = ()
    tails: Sequence[Tail] = ()
    room: Room | None = None
    masks: dict[object, torch.Tensor | None] = field(default_factory=dict)

    def attend(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        recorder: Recorder | None,
        sliding_window: int | None = None,
        **kwargs: object,
    ) -> torch.Tensor:
        """Return the output ``[1, rows, heads, dim]`` of one layer; feed the recorders first.

        Args:
            query: ``[1, heads, rows, dim]``.
            key, value: ``[1, key heads, rows, dim]``.
            recorder: ends the pass; each suffix has its own.
            sliding_window: a row at position r sees the positions above r - window, wherever
                their tokens stand in the sequence.
        """
        behind = self._observe(module.layer_idx, query, key, value, scaling, sliding_window)
        if recorder is not None:
            recorder.observe(module.layer_idx, query, key, None, scaling)

        parts = []
        if self.prefix:
            mask = self.mask("prefix", sliding_window, query.device)
            head = (states[:, :, : self.prefix] for states in (query, key, value))
            parts.append(sdpa(module, *head, mask, scaling=scaling, **kwargs))
        if self.groups:
            shared = (
                (key[:, :, : self.head], value[:, :, : self.head])
                if self.prefix or self.room is None
                else self.room.prefix(module.layer_idx, self.head)
            )
        for group in self.groups:
            seen = [
                torch.cat([before.expand(group.count, -1, -1, -1), group.batch(own)], dim=2)
                for before, own in zip(shared, (key, value), strict=True)
            ]
            mask = self.mask(group.width, sliding_window, query.device)
            found = sdpa(module, group.batch(query), *seen, mask, scaling=scaling, **kwargs)
            parts.append(group.rows(found))
        for number, (rows, keys, values, mask) in enumerate(behind):
            if self.tails[number].room is None:
                parts.append(sdpa(module, rows, keys, values, mask, scaling=scaling, **kwargs))
            else:
                kind = rows.dtype
                if slow_backward(rows, module.training):
                    rows, keys, values = rows.float(), keys.float(), values.float()
                found = self._suffix(number, rows, keys, values, scaling, sliding_window)
                parts.append(found.to(kind))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _observe(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        window: int | None,
    ) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor]]:
        """Feed each suffix's recorder; return its query rows, what they see, and the mask."""
        behind = []
        start = query.shape[2] - sum(tail.rows for tail in self.tails)
        for number, tail in enumerate(self.tails):
            rows = query[:, :, start : start + tail.rows]
            start += tail.rows
            seen = (key, value)
            if tail.room is not None:
                seen = tail.room.seen(layer, tail.rows)
            elif tail.seen is not None:
                seen = tuple(states.index_select(2, tail.seen) for states in seen)
            mask = self.tail_mask(number, window)
            tail.recorder.observe(layer, rows, seen[0], mask, scaling)
            behind.append((rows, *seen, mask))
        return behind

    def _suffix(
        self,
        number: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        window: int | None,
    ) -> torch.Tensor:
        """Return the output ``[1, rows, heads, dim]`` of a suffix, without a copy of what it sees.

        Query heads that share a key head stand below each other as rows of it: SDPA would repeat
        keys and values for each of them, which takes longer than the attention itself.
        """
        _, heads, rows, dim = query.shape
        shared = heads // key.shape[1]
        if ("rows", number, window) not in self.masks:
            seen = self.tail_mask(number, window)
            added = query.new_zeros(seen.shape).masked_fill_(~seen, float("-inf"))
            self.masks["rows", number, window] = added.repeat(1, 1, shared, 1)
        found = torch.nn.functional.scaled_dot_product_attention(
            query.reshape(1, heads // shared, shared * rows, dim),
            key,
            value,
            attn_mask=self.masks["rows", number, window],
            scale=scaling,
        )
        return found.reshape(1, heads, rows, dim).transpose(1, 2)

    def tail_mask(self, number: int, window: int | None) -> torch.Tensor:
        """Return ``[1, 1, rows, keys]`` of a suffix, True where seen."""
        if ("tail", number, window) not in self.masks:
            tail = self.tails[number]
            rows = tail.positions[-tail.rows :]
            # Positions tell nothing of who sees whom but in the suffix itself: documents share
            # theirs, and all of them end before it begins.
            self.masks["tail", number, window] = _seen(tail.positions, rows, window)[None, None]
        return self.masks["tail", number, window]

    def mask(
        self, kind: str | int, window: int | None, device: torch.device
    ) -> torch.Tensor | None:
        """Return ``[1, 1, rows, keys]``, True where seen; None is plain causal attention.

        Args:
            kind: ``prefix``, or the width of a group of documents.
        """
        if (kind, window) not in self.masks:
            count = self.prefix if kind == "prefix" else kind
            keys = torch.arange(count if kind == "prefix" else self.head + count, device=device)
            rows = keys[-count:]
            plain = window is None or window >= len(keys)
            alone = len(keys) == len(rows)
            seen = None if plain and alone else _seen(keys, rows, window)[None, None]
            self.masks[kind, window] = seen
        return self.masks[kind, window]


def _seen(keys: torch.Tensor, rows: torch.Tensor, window: int | None) -> torch.Tensor:
    """Return ``[rows, keys]``, True where a row's position sees a key's."""
    seen = keys <= rows[:, None]
    return seen if window is None else seen & (keys > rows[:, None] - window)
