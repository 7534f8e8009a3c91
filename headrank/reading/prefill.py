"""Prompts read: one prefill of the documents, then a short suffix a query."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache

from headrank.errors import HeadRankError
from headrank.models.attention import ReadingComplete, Recorder, Target
from headrank.models.cache import cache_argument
from headrank.models.copies import HostCopy, to_device
from headrank.models.decoder import LoadedModel
from headrank.models.devices import fits
from headrank.reading.apart import read_blocks
from headrank.reading.document_store import Shelf
from headrank.reading.prompt_tokens import Prompt
from headrank.reading.recording import MASSES, Recording
from headrank.reading.sliding_window import layer_windows


@dataclass(frozen=True)
class SuffixMass:
    """Attention of one suffix.

    Attributes:
        documents: ``[layers, heads, docs]`` float32.
        tokens: ``[layers, heads, document tokens]`` float32, or None.
        max_logits: ``[layers, heads, docs]`` float32, or None.
    """

    documents: np.ndarray
    tokens: np.ndarray | None
    max_logits: np.ndarray | None = None


@dataclass(frozen=True)
class PendingMass:
    """Attention of one suffix, which a GPU may still be copying; see `SuffixMass`."""

    documents: HostCopy
    tokens: HostCopy | None
    max_logits: HostCopy | None

    def wait(self) -> SuffixMass:
        """Return the arrays, once they are there."""
        found = (self.documents, self.tokens, self.max_logits)
        return SuffixMass(*(None if one is None else one.numpy() for one in found))


def read_prompts(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    recording: Recording = MASSES,
    *,
    shelf: Shelf | None = None,
) -> list[Recorder]:
    """Return one filled recorder a suffix, with a target for each prompt of the batch.

    The prefixes are prefilled once, side by side; the key/value cache is cropped back
    after each suffix. In block layouts a pass holds documents of one list, or a suffix of each
    list. Nothing behind the attention weights of the deepest layer is computed, and no
    language-model head.

    Args:
        prompts: lists read in one batch; each has the same number of suffixes. Shorter ones are
            padded on the right, where causal rows never look. A suffix is told what of the
            prefix it sees. Models with sliding windows have shorter prefixes padded on the left:
            their windows count places, and padding counts as one.
        recording: what is recorded, and the last layer read.
        shelf: documents of layout ``block`` that are there are not computed again.

    Raises:
        HeadRankError: a layer that the model does not have, or a GPU without the memory.
    """
    last = model.layers - 1 if recording.deepest is None else recording.deepest
    if not 0 <= last < model.layers:
        raise HeadRankError(f"layer {last} asked for; the model has layers 0..{model.layers - 1}")
    with _fitting(prompts):
        if all(prompt.blocks is None for prompt in prompts):
            return _read_joint(model, prompts, last, recording)
        return _read_apart(model, prompts, last, recording, shelf)


def _fitting(prompts: Sequence[Prompt]) -> contextlib.AbstractContextManager:
    """Return the context in which a GPU's lack of memory tells of these lists."""
    return fits(
        f"reading {len(prompts)} lists at once, the longest of "
        f"{max(prompt.length for prompt in prompts)} tokens,",
        "read fewer lists at once (batch), shorten them (fewer candidates, a smaller "
        "document_tokens), or use dtype bfloat16",
    )


@torch.inference_mode()
def _read_apart(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    last: int,
    recording: Recording,
    shelf: Shelf | None,
) -> list[Recorder]:
    """Return the recorders of lists in a block layout, one a suffix for all of them."""
    joined = []
    for suffixes in read_blocks(model, prompts, recording, last=last, shelf=shelf):
        recorder = suffixes[0]
        for other in suffixes[1:]:
            recorder.targets = (*recorder.targets, *other.targets)
            for name in ("mass", "tokens", "max_logits"):
                for layer, values in getattr(other, name).items():
                    getattr(recorder, name)[layer] += values
        joined.append(recorder)
    return joined


@torch.inference_mode()
def _read_joint(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    last: int,
    recording: Recording,
) -> list[Recorder]:
    """Return the recorders of one batch; see ``read_prompts``."""
    device = model.device
    counts = [len(prompt.prefix) for prompt in prompts]
    width = max(counts)
    left = layer_windows(model) is not None

    def padded(values: Sequence[int] | np.ndarray, fill: int) -> np.ndarray:
        rest = np.full(width - len(values), fill)
        return np.concatenate([rest, values] if left else [values, rest])

    ids = to_device(np.stack([padded(prompt.prefix, 0) for prompt in prompts]), device)
    indices = [padded(prompt.document_index(), -1) for prompt in prompts]
    lengths = to_device(counts, device)[:, None]
    places = torch.arange(width, device=device).expand(len(prompts), -1)
    if left:
        places = places - (width - lengths)
    real = places >= 0 if left else places < lengths
    mask = real.long() if min(counts) < width else None
    # A cache without the model's config keeps every position in every layer; sliding
    # layers then see their window through the mask, and cropping is always exact.
    cache = DynamicCache()
    # Without a mask SDPA takes its causal kernel, the fast one.
    _forward(model, ids, places.clamp_min(0), mask if left else None, cache, Recorder(deepest=last))
    recorders = []
    for suffixes in zip(*(prompt.suffixes for prompt in prompts), strict=True):
        longest = max(len(suffix.ids) for suffix in suffixes)
        tail = to_device([s.ids + (0,) * (longest - len(s.ids)) for s in suffixes], device)
        targets = [
            Target.of(
                (width + suffix.rows[0], width + suffix.rows[1]),
                index,
                len(prompt.spans),
                device,
            )
            for prompt, suffix, index in zip(prompts, suffixes, indices, strict=True)
        ]
        recorder = recording.recorder(targets, last)
        seen = None if mask is None else torch.cat([mask, torch.ones_like(tail)], dim=1)
        positions = lengths + torch.arange(longest, device=device)
        _forward(model, tail, positions, seen, cache, recorder)
        cache.crop(-longest)
        recorders.append(recorder)
    return recorders


def read_prompt(
    model: LoadedModel,
    prompt: Prompt,
    recording: Recording = MASSES,
    *,
    shelf: Shelf | None = None,
) -> list[SuffixMass]:
    """Return the masses of every suffix of one prompt; see :func:`read_prompts`."""
    (pending,) = read_side_by_side(model, [prompt], recording, shelf=shelf)
    return [one.wait() for one in pending]


def read_side_by_side(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    recording: Recording,
    *,
    shelf: Shelf | None = None,
) -> list[list[PendingMass]]:
    """Return the masses of every suffix of each prompt of a batch; a GPU goes on meanwhile."""
    recorders = read_prompts(model, prompts, recording, shelf=shelf)

    def pending(recorder: Recorder, item: int) -> PendingMass:
        return PendingMass(
            documents=_stack(recorder.mass, item),
            tokens=_stack(recorder.tokens, item) if recording.keep_tokens else None,
            max_logits=_stack(recorder.max_logits, item) if recording.keep_max_logits else None,
        )

    with _fitting(prompts):
        return [[pending(one, item) for one in recorders] for item in range(len(prompts))]


def _forward(
    model: LoadedModel,
    ids: torch.Tensor,
    positions: torch.Tensor,
    mask: torch.Tensor | None,
    cache: DynamicCache,
    recorder: Recorder,
) -> None:
    with contextlib.suppress(ReadingComplete):
        model.decoder(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            use_cache=True,
            recorder=recorder,
            **cache_argument(model.decoder, cache),
        )


def _stack(layers: dict[int, list[torch.Tensor]], item: int) -> HostCopy:
    """Return ``[layers, heads, ...]`` float32 of one sequence of the batch."""
    return HostCopy(torch.stack([layers[layer][item] for layer in sorted(layers)]))
