"""Lists in a block layout read: documents first, a pass of many at a time, then the suffixes.

Keys and values lie in a room that holds the whole list and its suffix: nothing is joined, and a
suffix never copies what is there. Suffixes of several lists share a pass: it has few rows, so the
weights that it reads and the kernels that it starts cost more than its arithmetic.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from headrank.models.attention import ReadingComplete, Recorder
from headrank.models.cache import cache_argument
from headrank.models.copies import to_device
from headrank.models.decoder import LoadedModel
from headrank.models.devices import fits
from headrank.models.query_adapter import documents_pass
from headrank.reading.block_attention import BlockAttention, Tail
from headrank.reading.document_store import Shelf
from headrank.reading.list_cache import Room, SuffixRooms
from headrank.reading.packed import Packed
from headrank.reading.passes import grouped, passes
from headrank.reading.prompt_tokens import Prompt
from headrank.reading.recording import MASSES, Recording

PASS_TOKENS = 8192
"""Most tokens of one forward pass, or one document: it bounds memory, however long the list."""


def read_blocks(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    recording: Recording = MASSES,
    *,
    last: int,
    budget: int = PASS_TOKENS,
    shelf: Shelf | None = None,
) -> list[list[Recorder]]:
    """Return the filled recorders of prompts whose documents are read apart: ``[suffix][prompt]``.

    Documents are computed in an order that depends on them alone, so scores are the same bits in
    any order of the list. The suffixes of all lists share a pass.

    Args:
        prompts: lists that are held at once; each has the same number of suffixes.
        recording: what is recorded.
        last: deepest layer that is read.
        budget, shelf: as :func:`fill` has them.
    """
    lists = [_List(prompt, shelf) for prompt in prompts]
    recorders = []
    for number in range(len(prompts[0].suffixes)):
        tails, ids, positions = [], [], []
        for one in lists:
            room = one.filled(model, number, last, budget)
            suffix = one.prompt.suffixes[number]
            sees = to_device(one.packed.suffix_positions(suffix), model.device)
            recorder = recording.recorder([one.packed.target(suffix, model.device)])
            tails.append(Tail(len(suffix.ids), sees, recorder, room=room))
            ids += suffix.ids
            positions.append(sees[one.packed.tokens :])
        rooms = SuffixRooms([tail.room for tail in tails], [tail.rows for tail in tails])
        forward(model, ids, torch.cat(positions), BlockAttention(tails=tails), last, rooms)
        recorders.append([tail.recorder for tail in tails])
    for one in lists:
        one.room.leave()
    return recorders


@dataclass
class _List:
    """One list of those that are held at once."""

    prompt: Prompt
    shelf: Shelf | None
    packed: Packed | None = None
    room: Room | None = None

    def filled(self, model: LoadedModel, suffix: int, last: int, budget: int) -> Room:
        """Return the room with prefix and documents as a suffix sees them."""
        blocks = self.prompt.blocks
        if self.room is not None and len(blocks.heads) == 1:
            return self.room
        head = blocks.head(suffix)
        if self.room is not None:
            self.room.leave()
        self.packed = Packed.of(self.prompt, len(head))
        spare = max(len(one.ids) for one in self.prompt.suffixes)
        lender = None if self.shelf is None else self.shelf.lender
        self.room = Room(last + 1, self.packed.tokens, spare, lender=lender)
        fill(model, self.packed, head, self.room, budget=budget, shelf=self.shelf)
        return self.room


@torch.inference_mode()
def encode_documents(
    model: LoadedModel,
    prompt: Prompt,
    shelf: Shelf,
    budget: int = PASS_TOKENS,
    layers: int | None = None,
) -> None:
    """Compute the documents of a prompt, and no query, and keep them.

    Args:
        layers: that are computed; None computes all that the model has.

    Raises:
        OutOfMemory: a GPU has not the memory.
    """
    head = prompt.blocks.head(0)
    packed = Packed.of(prompt, len(head))
    room = Room(layers or model.layers, packed.tokens, 0)
    with fits(
        f"encoding {len(prompt.blocks.order)} documents of {packed.tokens} tokens",
        "cut them (a smaller document_tokens), or use dtype bfloat16",
    ):
        fill(model, packed, head, room, budget=budget, shelf=shelf, lookup=False)


def fill(
    model: LoadedModel,
    packed: Packed,
    head: Sequence[int],
    room: Room,
    *,
    budget: int = PASS_TOKENS,
    shelf: Shelf | None = None,
    lookup: bool = True,
) -> None:
    """Put the keys and values of prefix and documents into the room.

    Args:
        budget: most tokens of one forward pass.
        shelf: what it holds is copied, the rest is computed and kept there.
        lookup: False computes all documents, whatever the shelf holds.

    Where the shelf's store says so (``alone``), attention is computed without padding, which
    depends on a document's neighbours. A row of a matrix product does not, but libraries may add
    up a product of another shape in another order: in float32 a mass changes by 2e-6 at most with
    what else is in a pass, in bfloat16 by as much as its rounding.
    """
    widths = packed.prompt.blocks.widths
    missing, has_prefix = list(packed.prompt.blocks.order), packed.head == 0
    last = room.layers - 1
    if shelf is not None:
        kept = _Kept.of(shelf, packed, head, room)
        missing, has_prefix = kept.take(model, lookup)
    dealt = passes(missing, widths, budget)
    if not (dealt or has_prefix):
        dealt = [[]]  # all documents are there, their prefix is not
    alone = shelf is not None and shelf.store.alone
    for documents in dealt:
        own = 0 if has_prefix else packed.head
        has_prefix = True
        ids, places = packed.ids(documents), packed.places(documents)
        positions, rows = packed.positions(documents), packed.rows(documents)
        if own:
            ids, before = [*head, *ids], np.arange(own)
            places, positions = (np.concatenate([before, one]) for one in (places, positions))
            rows = None if rows is None else np.concatenate([before, own + rows])
        room.write_at(places, model.device, rows)
        attention = BlockAttention(
            packed.head,
            prefix=own,
            groups=grouped(widths[documents], own, model.device, waste=0 if alone else None),
            room=room,
        )
        with documents_pass():
            forward(model, ids, to_device(positions, model.device), attention, last, room)
        if shelf is not None:
            kept.keep(documents, own)


@dataclass(frozen=True)
class _Kept:
    """What a shelf holds of one list, and where it belongs in the room.

    Attributes:
        prefix: key of the shared prefix, None if it has no tokens.
        keys: of the documents, by their place in the prompt.
    """

    shelf: Shelf
    packed: Packed
    room: Room
    prefix: str | None
    keys: Mapping[int, str]

    @classmethod
    def of(cls, shelf: Shelf, packed: Packed, head: Sequence[int], room: Room) -> _Kept:
        """Return the keys of a prefix and of the documents behind it."""
        shared = shelf.key(head, (), room.layers) if packed.head else None
        return cls(shelf, packed, room, shared, shelf.keys(packed, room.layers))

    def take(self, model: LoadedModel, lookup: bool) -> tuple[list[int], bool]:
        """Copy what is there into the room; return what is not, and if the prefix is."""
        shared = None if self.prefix is None else self.shelf.find(self.prefix)
        found = {one: self.shelf.find(key) if lookup else None for one, key in self.keys.items()}
        starts = self.packed.starts
        entries = {int(starts[one]): entry for one, entry in found.items() if entry is not None}
        if lookup:
            self.shelf.store.count(len(entries), len(found) - len(entries))
        if shared is not None:
            entries[0] = shared
        self.room.put(entries, next(model.decoder.parameters()))
        missing = [one for one, entry in found.items() if entry is None]
        return missing, shared is not None or self.prefix is None

    def keep(self, documents: Sequence[int], prefix: int) -> None:
        """Keep what a pass computed; the prefix last, since every list needs it.

        What is kept in 8 bits is read so at once: the first query sees what later ones see.
        """
        room, entries = self.room, {}
        for one in documents:
            start, stop = int(self.packed.starts[one]), self.packed.stop(one)
            entry = room.part(start, stop)
            if self.shelf.store.int8:
                entry = entry.in_8_bits()
                entry.write(room.keys[:, :, start:stop], room.values[:, :, start:stop])
            entries[self.keys[one]] = entry
        if prefix:
            # Its first token takes much of all attention, and there is one: it stays exact.
            entries[self.prefix] = room.part(0, prefix)
        self.shelf.store.keep(entries)


def forward(
    model: LoadedModel,
    ids: Sequence[int],
    positions: torch.Tensor,
    attention: BlockAttention,
    last: int,
    cache: Room | SuffixRooms | None = None,
) -> None:
    """Run one pass up to a layer's attention weights; the cache takes its keys and values."""
    device = model.device
    with contextlib.suppress(ReadingComplete):
        model.decoder(
            input_ids=to_device([ids], device),
            position_ids=positions[None],
            # A mask of four dimensions is taken as it is, so transformers builds none of its own,
            # which would be of all tokens by all tokens. The attention never looks at it.
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),
            use_cache=cache is not None,
            recorder=Recorder(deepest=last),
            blocks=attention,
            **cache_argument(model.decoder, cache),
        )
