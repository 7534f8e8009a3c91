"""Lists in a block layout read with gradients: training's reading.

One pass over everything, or, where the adapter changes the query's tokens alone, a pass of the
suffixes behind documents that were computed before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from headrank.models.attention import Recorder
from headrank.models.copies import to_device
from headrank.models.decoder import LoadedModel
from headrank.reading.apart import fill, forward
from headrank.reading.block_attention import BlockAttention, Tail
from headrank.reading.document_store import Shelf
from headrank.reading.list_cache import Room, SuffixRooms, TracedRoom
from headrank.reading.packed import Packed
from headrank.reading.passes import grouped
from headrank.reading.prompt_tokens import Prompt
from headrank.reading.recording import Recording

TRACED_WASTE = 1.0
"""Most padding of a group in training: its lists are short, and each group costs a kernel a layer,
forwards and backwards."""
SHORT = 128
"""Tokens of a document up to which a CPU trains faster by plain matrix products."""


def trace_blocks(
    model: LoadedModel, prompts: Sequence[Prompt], recording: Recording, deepest: int
) -> list[Recorder]:
    """Return the recorder of each prompt's first suffix.

    Documents of all lists stand side by side in the pass, behind one prefix; each suffix sees its
    own ones.

    Args:
        prompts: of one shared prefix.
        deepest: layer behind whose attention weights the pass ends.
    """
    device, head = model.device, prompts[0].blocks.head(0)
    lists = [Packed.of(prompt, len(head)) for prompt in prompts]
    # Of like length next to each other, so that a group is padded little.
    documents = sorted(
        ((number, one) for number, prompt in enumerate(prompts) for one in prompt.blocks.order),
        key=lambda item: prompts[item[0]].blocks.widths[item[1]],
    )
    widths = np.array([prompts[number].blocks.widths[one] for number, one in documents])
    ids, positions = list(head), [np.arange(len(head))]
    firsts: list[dict[int, int]] = [{} for _ in prompts]
    for number, one in documents:
        firsts[number][one] = len(ids)
        ids += lists[number].ids([one])
        positions.append(lists[number].positions([one]))
    tails = []
    for packed, rows in zip(lists, firsts, strict=True):
        suffix = packed.prompt.suffixes[0]
        sees = packed.suffix_positions(suffix)
        whole = len(prompts) == 1 and packed.prompt.blocks.every is None
        seen = None if whole else to_device(_seen(packed, rows, len(ids)), device)
        recorder = recording.recorder([packed.target(suffix, device)])
        tails.append(Tail(len(suffix.ids), to_device(sees, device), recorder, seen))
        ids += suffix.ids
        positions.append(sees[packed.tokens :])
    attention = BlockAttention(
        len(head),
        prefix=len(head),
        groups=grouped(widths, len(head), device, waste=TRACED_WASTE),
        tails=tails,
    )
    places = to_device(np.concatenate(positions), device)
    with _kernel(device, int(widths.max()), model.decoder.training):
        forward(model, ids, places, attention, deepest)
    return [tail.recorder for tail in tails]


def trace_suffixes(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    recording: Recording,
    deepest: int,
    shelf: Shelf | None = None,
) -> list[Recorder]:
    """Return the recorder of each prompt's first suffix; no gradient reaches the documents.

    Args:
        model: its adapter, if any, is one of the query's tokens alone.
        prompts: of layouts in which documents see no query.
        deepest: layer behind whose attention weights the pass ends.
        shelf: documents that are there are not computed again.
    """
    device = model.device
    tails, ids, positions, rooms = [], [], [], []
    for prompt in prompts:
        head, suffix = prompt.blocks.head(0), prompt.suffixes[0]
        packed = Packed.of(prompt, len(head))
        room = Room(deepest + 1, packed.tokens, 0)
        with torch.no_grad():
            fill(model, packed, head, room, shelf=shelf)
        rooms.append(TracedRoom(room))
        sees = to_device(packed.suffix_positions(suffix), device)
        recorder = recording.recorder([packed.target(suffix, device)])
        tails.append(Tail(len(suffix.ids), sees, recorder, room=rooms[-1]))
        ids += suffix.ids
        positions.append(sees[packed.tokens :])
    cache = SuffixRooms(rooms, [tail.rows for tail in tails])
    forward(model, ids, torch.cat(positions), BlockAttention(tails=tails), deepest, cache)
    return [tail.recorder for tail in tails]


def _seen(packed: Packed, firsts: Mapping[int, int], end: int) -> np.ndarray:
    """Return ``[keys]`` rows of the pass that a list's first suffix sees, in its room's order.

    Args:
        firsts: first row of each of its documents.
        end: first row of the suffix.
    """
    prompt = packed.prompt
    return np.concatenate(
        [
            np.arange(packed.head),
            *(firsts[one] + packed.kept[one] for one in prompt.blocks.order),
            end + np.arange(len(prompt.suffixes[0].ids)),
        ]
    )


def _kernel(device: torch.device, widest: int, training: bool) -> contextlib.AbstractContextManager:
    """Return the context in which documents of so many tokens are traced.

    A frozen reference is read in that of the training that it serves.

    On CPUs the backward pass of the fused kernel costs more than the products themselves where
    documents are short; those of long ones would take much memory.
    """
    if device.type == "cpu" and widest <= SHORT and training:
        return sdpa_kernel(SDPBackend.MATH)
    return contextlib.nullcontext()
