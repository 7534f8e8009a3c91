"""Block layouts computed: one row of tokens, attention in blocks, nothing padded but in attention.

The shared prefix and the documents stand one behind the other in a single sequence, each document
at the positions that follow the prefix, so every linear layer works on real tokens only. Attention
alone is computed a group of documents of like length at a time. Keys and values lie in a room that
holds the whole list and the suffix: nothing is joined, and a suffix never copies what is there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from headrank.attention import ReadingComplete, Recorder, Target
from headrank.layout import Blocks
from headrank.models import LoadedModel
from headrank.prompt import Prompt, Suffix

PASS_TOKENS = 8192
"""Most tokens of one forward pass, or one document: it bounds memory, however long the list."""

_WASTE = 0.1  # most padding of a group of documents, as a share of its tokens


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


def grouped(widths: Sequence[int], first: int, device: torch.device) -> list[Group]:
    """Return the groups of documents that follow one another from row ``first``.

    Args:
        widths: tokens of each document, ascending: a group's padding is at most a tenth of its
            tokens.
    """
    groups, begin = [], 0
    ends = np.cumsum(widths)
    while begin < len(widths):
        before = int(ends[begin - 1]) if begin else 0
        stop = begin + 1
        while stop < len(widths) and widths[stop] * (stop + 1 - begin) <= (1 + _WASTE) * (
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
        torch.from_numpy(index.ravel()).to(device),
        torch.from_numpy(kept).to(device),
    )


@dataclass
class Room:
    """Keys and values of a whole list: prefix, documents in the order computed, a suffix.

    A cache as a model asks for it, by duck type. The deepest layer has no values: the pass ends
    before they are used.

    Attributes:
        layers: read.
        tokens: of prefix and documents.
        spare: tokens of the longest suffix.
        keys, values: ``[layers, key heads, tokens + spare, dim]``, the values of one layer less;
            made when the first pass tells their shape.
        places: where the pass at hand writes: a slice, or positions.
    """

    layers: int
    tokens: int
    spare: int
    keys: torch.Tensor | None = None
    values: torch.Tensor | None = None
    places: slice | torch.Tensor = field(default_factory=lambda: slice(0, 0))
    suffix: bool = False

    def allocate(self, like: torch.Tensor, heads: int, dim: int) -> None:
        """Take the memory, of the kind of a tensor."""
        shape = (heads, self.tokens + self.spare, dim)
        self.keys = like.new_empty((self.layers, *shape))
        self.values = like.new_empty((self.layers - 1, *shape))

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep a layer's new keys and values; return what the rows of this pass see.

        Documents see themselves (and the prefix, which :meth:`prefix` gives); a suffix all.
        """
        if self.keys is None:
            self.allocate(keys, keys.shape[1], keys.shape[3])
        self._write(self.keys[layer_idx], keys[0])
        last = layer_idx == self.layers - 1
        if not last:
            self._write(self.values[layer_idx], values[0])
        if not self.suffix:
            return keys, values
        stop = self.places.stop
        seen = self.keys[layer_idx, None, :, :stop]
        return seen, values if last else self.values[layer_idx, None, :, :stop]

    def _write(self, own: torch.Tensor, new: torch.Tensor) -> None:
        if isinstance(self.places, slice):
            own[:, self.places] = new
        else:
            own.index_copy_(1, self.places, new)

    def prefix(self, layer: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values ``[1, key heads, tokens, dim]`` of the shared prefix."""
        return self.keys[layer, None, :, :tokens], self.values[layer, None, :, :tokens]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the tokens that are kept; positions are given, so nothing is derived from it."""
        return self.tokens


@dataclass
class BlockAttention:
    """What the rows of one pass see; every layer asks it.

    Attributes:
        head: tokens of the shared prefix.
        prefix: rows of the prefix in this pass: all of it, or 0 if the room has it already.
        groups: of the documents in this pass.
        suffix: rows of the suffix, the last of the pass.
        positions: ``[keys]`` of all that the suffix sees, its own rows last; None without one.
        room: holds keys and values; None keeps all in the pass itself (training).
    """

    head: int
    prefix: int = 0
    groups: Sequence[Group] = ()
    suffix: int = 0
    positions: torch.Tensor | None = None
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
        if recorder is not None:
            recorder.observe(module.layer_idx, query[:, :, first:], key, tail, scaling)

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
        if self.suffix:
            parts.append(sdpa(query[:, :, first:], key, value, tail))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

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

    def positions(self, documents: Sequence[int]) -> np.ndarray:
        """Return the positions of their tokens: each document follows the prefix."""
        widths = self.prompt.blocks.widths
        return self.head + np.concatenate([np.arange(widths[one]) for one in documents])

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


def read_blocks(
    model: LoadedModel,
    prompt: Prompt,
    *,
    last: int,
    heads: dict[int, list[int]] | None = None,
    keep_tokens: bool = False,
    budget: int = PASS_TOKENS,
) -> list[Recorder]:
    """Return one filled recorder a suffix of a prompt whose documents are read apart.

    Documents are computed in an order that depends on them alone, so scores are the same bits in
    any order of the list.

    Args:
        last: deepest layer that is read.
        heads, keep_tokens: as :func:`headrank.reader.read_prompts` has them.
        budget: most tokens of one forward pass.
    """
    blocks = prompt.blocks
    recorders, room, packed = [], None, None
    spare = max(len(suffix.ids) for suffix in prompt.suffixes)
    for number, suffix in enumerate(prompt.suffixes):
        if room is None or len(blocks.heads) > 1:
            packed = Packed.of(prompt, len(blocks.head(number)))
            room = Room(last + 1, packed.tokens, spare)
            fill(model, packed, blocks.head(number), room, budget)
        recorder = Recorder(
            targets=(packed.target(suffix, model.device),),
            layers=None if heads is None else frozenset(heads),
            heads=heads,
            deepest=last,
            keep_tokens=keep_tokens,
        )
        positions = torch.from_numpy(packed.suffix_positions(suffix)).to(model.device)
        room.places = slice(packed.tokens, packed.tokens + len(suffix.ids))
        room.suffix = True
        attention = BlockAttention(
            packed.head, suffix=len(suffix.ids), positions=positions, room=room
        )
        forward(model, suffix.ids, positions[packed.tokens :], attention, recorder)
        recorders.append(recorder)
    return recorders


def fill(model: LoadedModel, packed: Packed, head: Sequence[int], room: Room, budget: int) -> None:
    """Compute the keys and values of prefix and documents into the room."""
    blocks: Blocks = packed.prompt.blocks
    widths = blocks.widths
    recorder = Recorder(deepest=room.layers - 1)
    room.suffix = False
    for number, documents in enumerate(passes(blocks.order, widths, budget)):
        ids, positions = packed.ids(documents), packed.positions(documents)
        own = 0 if number else packed.head
        if own:
            ids, positions = [*head, *ids], np.concatenate([np.arange(own), positions])
        start = int(packed.starts[documents[0]]) - own
        room.places = slice(start, start + len(ids))
        attention = BlockAttention(
            packed.head,
            prefix=own,
            groups=grouped(widths[documents], own, model.device),
            room=room,
        )
        forward(model, ids, torch.from_numpy(positions).to(model.device), attention, recorder)


def forward(
    model: LoadedModel,
    ids: Sequence[int],
    positions: torch.Tensor,
    attention: BlockAttention,
    recorder: Recorder,
) -> None:
    """Run one pass up to the recorder's deepest layer."""
    device = model.device
    with contextlib.suppress(ReadingComplete):
        model.decoder(
            input_ids=torch.tensor([ids], device=device),
            position_ids=positions[None],
            # A mask of four dimensions is taken as it is, so transformers builds none of its own,
            # which would be of all tokens by all tokens. The attention never looks at it.
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),
            past_key_values=attention.room,
            use_cache=attention.room is not None,
            recorder=recorder,
            blocks=attention,
        )


def trace_blocks(
    model: LoadedModel, prompt: Prompt, heads: dict[int, list[int]], deepest: int
) -> Recorder:
    """Return the first suffix's recorder from one pass over everything, with gradients."""
    blocks, suffix = prompt.blocks, prompt.suffixes[0]
    packed = Packed.of(prompt, len(blocks.head(0)))
    recorder = Recorder(
        targets=(packed.target(suffix, model.device),),
        layers=frozenset(heads),
        heads=heads,
        deepest=deepest,
    )
    positions = torch.from_numpy(packed.suffix_positions(suffix)).to(model.device)
    attention = BlockAttention(
        packed.head,
        prefix=packed.head,
        groups=grouped(blocks.widths[list(blocks.order)], packed.head, model.device),
        suffix=len(suffix.ids),
        positions=positions,
    )
    ids = [*blocks.head(0), *packed.ids(blocks.order), *suffix.ids]
    forward(model, ids, positions, attention, recorder)
    return recorder
