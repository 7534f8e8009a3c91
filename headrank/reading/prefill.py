"""Reading candidate lists: one prefill of the documents, then a short suffix a query."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import DynamicCache

from headrank.data.candidates import CandidateList
from headrank.errors import HeadRankError
from headrank.io.progress import follow
from headrank.models.attention import ReadingComplete, Recorder, Target
from headrank.models.decoder import LoadedModel
from headrank.models.devices import fits
from headrank.reading.apart import read_blocks
from headrank.reading.batches import TokenBudget, in_batches
from headrank.reading.document_store import Shelf
from headrank.reading.prompt import PromptBuilder
from headrank.reading.prompt_tokens import Prompt
from headrank.reading.readings import ListReading
from headrank.reading.sliding_window import distances, layer_windows


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


def read_prompts(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    *,
    deepest: int | None = None,
    heads: dict[int, list[int]] | None = None,
    keep_tokens: bool = False,
    keep_max_logits: bool = False,
    shelf: Shelf | None = None,
) -> list[Recorder]:
    """Return one filled recorder a suffix, with a target for each prompt of the batch.

    The prefixes are prefilled once, side by side; the key/value cache is cropped back
    after each suffix. Nothing behind the attention weights of ``deepest`` is computed, and
    no language-model head.

    Args:
        prompts: lists read in one batch; each has the same number of suffixes. Shorter
            prefixes are padded on the left, shorter suffixes on the right: causal rows
            never see the latter, and the mask hides the former.
        deepest: last layer read (counting from 0); None reads all layers.
        heads: ``{layer: [head, ...]}``: record these only; None records every head.
        keep_tokens: also record the mass of each document token.
        keep_max_logits: also record the largest logit of each document.
        shelf: documents of layout ``block`` that are there are not computed again.

    Raises:
        HeadRankError: a layer that the model does not have, or a GPU without the memory.
    """
    last = model.layers - 1 if deepest is None else deepest
    if not 0 <= last < model.layers:
        raise HeadRankError(f"layer {last} asked for; the model has layers 0..{model.layers - 1}")
    longest = max(prompt.length for prompt in prompts)
    kept = {"keep_tokens": keep_tokens, "keep_max_logits": keep_max_logits}
    with fits(
        f"reading {len(prompts)} lists at once, the longest of {longest} tokens,",
        "read fewer lists at once (batch), shorten them (fewer candidates, a smaller "
        "document_tokens), or use dtype bfloat16",
    ):
        if all(prompt.blocks is None for prompt in prompts):
            return _read_joint(model, prompts, last, heads, kept)
        return _read_apart(model, prompts, last, heads, kept, shelf)


@torch.inference_mode()
def _read_apart(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    last: int,
    heads: dict[int, list[int]] | None,
    kept: Mapping[str, bool],
    shelf: Shelf | None,
) -> list[Recorder]:
    """Return the recorders of lists in a block layout: one pass holds one list's documents."""
    read = [
        read_blocks(model, prompt, last=last, heads=heads, shelf=shelf, **kept)
        for prompt in prompts
    ]
    joined = []
    for suffixes in zip(*read, strict=True):
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
    heads: dict[int, list[int]] | None,
    kept: Mapping[str, bool],
) -> list[Recorder]:
    """Return the recorders of one batch; see ``read_prompts``."""
    device = model.device
    lengths = torch.tensor([len(prompt.prefix) for prompt in prompts], device=device)
    width = int(lengths.max())
    padding = [width - len(prompt.prefix) for prompt in prompts]
    ids = torch.tensor(
        [(0,) * pad + p.prefix for pad, p in zip(padding, prompts, strict=True)], device=device
    )
    indices = [
        torch.from_numpy(np.concatenate([np.full(pad, -1), p.document_index()])).to(device)
        for pad, p in zip(padding, prompts, strict=True)
    ]
    places = torch.arange(width, device=device) - (width - lengths)[:, None]
    # Without padding no mask is given: SDPA's causal kernel is the fast one.
    mask = (places >= 0).long() if any(padding) else None
    # A cache without the model's config keeps every position in every layer; sliding
    # layers then see their window through the mask, and cropping is always exact.
    cache = DynamicCache()
    _forward(model, ids, places.clamp_min(0), mask, cache, Recorder(deepest=last))
    recorders = []
    for suffixes in zip(*(prompt.suffixes for prompt in prompts), strict=True):
        longest = max(len(suffix.ids) for suffix in suffixes)
        tail = torch.tensor(
            [s.ids + (0,) * (longest - len(s.ids)) for s in suffixes], device=device
        )
        recorder = Recorder(
            targets=tuple(
                Target(
                    rows=(width + suffix.rows[0], width + suffix.rows[1]),
                    index=index,
                    documents=len(prompt.spans),
                )
                for prompt, suffix, index in zip(prompts, suffixes, indices, strict=True)
            ),
            layers=None if heads is None else frozenset(heads),
            heads=heads,
            deepest=last,
            **kept,
        )
        seen = None if mask is None else torch.cat([mask, torch.ones_like(tail)], dim=1)
        positions = lengths[:, None] + torch.arange(longest, device=device)
        _forward(model, tail, positions, seen, cache, recorder)
        cache.crop(-longest)
        recorders.append(recorder)
    return recorders


def read_prompt(
    model: LoadedModel,
    prompt: Prompt,
    *,
    deepest: int | None = None,
    keep_tokens: bool = False,
    keep_max_logits: bool = False,
    shelf: Shelf | None = None,
) -> list[SuffixMass]:
    """Return the masses of all heads for every suffix of one prompt; see ``read_prompts``."""
    kept = {"keep_tokens": keep_tokens, "keep_max_logits": keep_max_logits}
    (masses,) = _read_side_by_side(model, [prompt], deepest, kept, shelf)
    return masses


def _read_side_by_side(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    deepest: int | None,
    kept: Mapping[str, bool],
    shelf: Shelf | None = None,
) -> list[list[SuffixMass]]:
    """Return the masses of all heads for every suffix of each prompt of a batch."""
    recorders = read_prompts(model, prompts, deepest=deepest, shelf=shelf, **kept)
    return [
        [
            SuffixMass(
                documents=_stack(recorder.mass, item),
                tokens=_stack(recorder.tokens, item) if recorder.keep_tokens else None,
                max_logits=(
                    _stack(recorder.max_logits, item) if recorder.keep_max_logits else None
                ),
            )
            for recorder in recorders
        ]
        for item in range(len(prompts))
    ]


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
            past_key_values=cache,
            use_cache=True,
            recorder=recorder,
        )


def _stack(layers: dict[int, list[torch.Tensor]], item: int) -> np.ndarray:
    """Return ``[layers, heads, ...]`` float32 of one sequence of the batch."""
    return torch.stack([layers[layer][item] for layer in sorted(layers)]).cpu().numpy()


def read_list(
    model: LoadedModel,
    builder: PromptBuilder,
    candidates: CandidateList,
    *,
    calibrate: bool = True,
    deepest: int | None = None,
    keep_tokens: bool = False,
    keep_max_logits: bool = False,
    shelf: Shelf | None = None,
) -> tuple[ListReading, int]:
    """Return the reading of one list (documents in prompt order) and its prompt's tokens."""
    queries = None if calibrate else (candidates.query,)
    prompt = builder.build(candidates, queries)
    masses = read_prompt(
        model,
        prompt,
        deepest=deepest,
        keep_tokens=keep_tokens or calibrate,
        keep_max_logits=keep_max_logits,
        shelf=shelf,
    )
    reading = _reading(
        model, candidates, prompt, masses, calibrate=calibrate, keep_tokens=keep_tokens
    )
    return reading, prompt.length


def _reading(
    model: LoadedModel,
    candidates: CandidateList,
    prompt: Prompt,
    masses: Sequence[SuffixMass],
    *,
    calibrate: bool,
    keep_tokens: bool,
) -> ListReading:
    """Return the reading that one list's masses make."""
    calibration = contrast = tokens = None
    if calibrate:
        difference = masses[0].tokens - masses[1].tokens
        calibration = masses[1].documents
        contrast = difference.sum(axis=(0, 1), dtype=np.float64).astype(np.float32)
        tokens = difference if keep_tokens else None
    windows = layer_windows(model)
    reading = ListReading(
        query_id=candidates.query_id,
        doc_ids=candidates.doc_ids,
        query=masses[0].documents,
        calibration=calibration,
        spans=prompt.token_spans,
        contrast=contrast,
        tokens=tokens,
        max_logits=masses[0].max_logits,
        windows=windows,
        distance=None if windows is None else distances(prompt),
        cut={
            document: (tokens, kept)
            for document, tokens, kept in zip(
                candidates.doc_ids, prompt.tokens, prompt.widths, strict=True
            )
            if kept < tokens
        },
    )
    reading.check(model.name)
    return reading


def read_lists(
    model: LoadedModel,
    builder: PromptBuilder,
    lists: Iterable[CandidateList],
    *,
    calibrate: bool = True,
    deepest: int | None = None,
    keep_tokens: bool = False,
    keep_max_logits: bool = False,
    budget: TokenBudget | None = None,
    shelf: Shelf | None = None,
    label: str = "reading",
    progress: bool = True,
) -> Iterator[ListReading]:
    """Yield the reading of each list; a progress bar shows queries and tokens a second.

    Args:
        budget: of the tokens of lists read side by side; by default, and in block layouts, whose
            documents fill a pass already, every list is read alone. Side by side masses are those
            of single lists up to rounding.
        shelf: in a layout whose documents can be kept, those that are there are not read again.
    """
    lists = list(lists)
    kept = {
        "calibrate": calibrate,
        "keep_tokens": keep_tokens,
        "keep_max_logits": keep_max_logits,
    }
    # Every prompt is built before the first prefill: a list that does not fit the
    # context is told at once, not after an hour.
    if budget is None or budget.alone or builder.options.layout != "joint":
        for candidates in lists:
            builder.build(candidates)
        found = (
            (number, *read_list(model, builder, candidates, deepest=deepest, shelf=shelf, **kept))
            for number, candidates in enumerate(lists)
        )
    else:
        prompts = [builder.build(candidates) for candidates in lists]
        found = _read_batches(model, lists, prompts, budget, deepest=deepest, **kept)
    waiting: dict[int, ListReading] = {}
    with follow(total=len(lists), desc=label, unit="query", disable=not progress) as bar:
        tokens, following = 0, 0
        for number, reading, length in found:
            tokens += length
            bar.update()
            bar.set_postfix_str(f"{tokens / max(bar.format_dict['elapsed'], 1e-9):.0f} tokens/s")
            waiting[number] = reading
            while following in waiting:
                yield waiting.pop(following)
                following += 1


def _read_batches(
    model: LoadedModel,
    lists: Sequence[CandidateList],
    prompts: Sequence[Prompt],
    budget: TokenBudget,
    *,
    deepest: int | None,
    calibrate: bool,
    keep_tokens: bool,
    keep_max_logits: bool,
) -> Iterator[tuple[int, ListReading, int]]:
    """Yield number, reading and tokens of each list, longest first, as many at once as fit."""
    if not calibrate:
        prompts = [replace(prompt, suffixes=prompt.suffixes[:1]) for prompt in prompts]

    def read(batch: list[int]) -> list[list[SuffixMass]]:
        chosen = [prompts[number] for number in batch]
        recorded = {"keep_tokens": keep_tokens or calibrate, "keep_max_logits": keep_max_logits}
        return _read_side_by_side(model, chosen, deepest, recorded)

    kept = {"calibrate": calibrate, "keep_tokens": keep_tokens}
    for number, masses in in_batches([prompt.length for prompt in prompts], budget, read):
        prompt = prompts[number]
        yield number, _reading(model, lists[number], prompt, masses, **kept), prompt.length
