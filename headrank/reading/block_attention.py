"""Attention in blocks: what each row of a pass sees, where documents are read apart.

The shared prefix and the documents stand one behind the other in a single sequence, each document
at the positions that follow the prefix, so every linear layer works on real tokens only. Attention
alone is computed a group of documents of like length at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from headrank.models.attention import Recorder
from headrank.reading.list_cache import Room
from headrank.reading.passes import Group


@dataclass
class BlockAttention:
    """What the rows of one pass see; every layer asks it.

    Attributes:
        head: tokens of the shared prefix.
        prefix: rows of the prefix in this pass: all of it, or 0 if the room has it already.
        groups: of the documents in this pass.
        suffix: rows of the suffix, the last of the pass.
        positions: ``[keys]`` of all that the suffix sees, its own rows last; None without one.
        seen: rows of the pass that the suffix sees, if not all; None where a room tells it.
        room: holds keys and values; None keeps all in the pass itself (training).
    """

    head: int
    prefix: int = 0
    groups: Sequence[Group] = ()
    suffix: int = 0
    positions: torch.Tensor | None = None
    seen: torch.Tensor | None = None
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
        """Return the output ``[1, rows, heads, dim]`` of one layer; feed the recorder first.

        Args:
            query: ``[1, heads, rows, dim]``.
            key, value: ``[1, key heads, keys, dim]``: those of the rows, or all if a suffix reads
                from the room.
            sliding_window: a row at position r sees the positions above r - window, wherever
                their tokens stand in the sequence.
        """
        first = query.shape[2] - self.suffix
        tail = self.mask("suffix", sliding_window, query.device) if self.suffix else None
        behind = (key, value)
        if self.seen is not None:
            behind = tuple(states.index_select(2, self.seen) for states in behind)
        if recorder is not None:
            recorder.observe(module.layer_idx, query[:, :, first:], behind[0], tail, scaling)

        def sdpa(rows: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask):
            return sdpa_attention_forward(
                module, rows, keys, values, mask, scaling=scaling, **kwargs
            )[0]

        parts = []
        if self.prefix:
            mask = self.mask("prefix", sliding_window, query.device)
            head = (states[:, :, : self.prefix] for states in (query, key, value))
            parts.append(sdpa(*head, mask))
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
            parts.append(group.rows(sdpa(group.batch(query), *seen, mask)))
        if self.suffix and self.room is None:
            parts.append(sdpa(query[:, :, first:], *behind, tail))
        elif self.suffix:
            parts.append(self._suffix(query[:, :, first:], key, value, scaling, sliding_window))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _suffix(
        self,
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
        if ("rows", window) not in self.masks:
            seen = self.mask("suffix", window, query.device)
            added = query.new_zeros(seen.shape).masked_fill_(~seen, float("-inf"))
            self.masks["rows", window] = added.repeat(1, 1, shared, 1)
        found = torch.nn.functional.scaled_dot_product_attention(
            query.reshape(1, heads // shared, shared * rows, dim),
            key,
            value,
            attn_mask=self.masks["rows", window],
            scale=scaling,
        )
        return found.reshape(1, heads, rows, dim).transpose(1, 2)

    def mask(
        self, kind: str | int, window: int | None, device: torch.device
    ) -> torch.Tensor | None:
        """Return ``[1, 1, rows, keys]``, True where seen; None is plain causal attention.

        Args:
            kind: ``prefix``, ``suffix``, or the width of a group of documents.
        """
        if (kind, window) not in self.masks:
            if kind == "suffix":
                keys = self.positions
                rows = keys[-self.suffix :]
                # Positions tell nothing of who sees whom but in the suffix itself: documents
                # share theirs, and all of them end before it begins.
                seen = keys <= rows[:, None]
            else:
                count = self.prefix if kind == "prefix" else kind
                keys = torch.arange(count if kind == "prefix" else self.head + count, device=device)
                rows = keys[-count:]
                seen = keys <= rows[:, None]
            if window is not None:
                seen = seen & (keys > rows[:, None] - window)
            plain = window is None or window >= len(keys)
            alone = len(keys) == len(rows)
            self.masks[kind, window] = None if plain and alone else seen[None, None]
        return self.masks[kind, window]
