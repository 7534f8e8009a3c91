"""Reading candidate lists: one prefill of the documents, then a short suffix a query."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm
from transformers import DynamicCache

from headrank.attention import ReadingComplete, Recorder, Target
from headrank.errors import HeadRankError
from headrank.lists import CandidateList
from headrank.models import LoadedModel
from headrank.prompt import Prompt, PromptBuilder
from headrank.reading import ListReading


@dataclass(frozen=True)
class SuffixMass:
    """Attention of one suffix.

    Attributes:
        documents: ``[layers, heads, docs]`` float32.
        tokens: ``[layers, heads, document tokens]`` float32, or None.
    """

    documents: np.ndarray
    tokens: np.ndarray | None


@torch.inference_mode()
def read_prompt(
    model: LoadedModel,
    prompt: Prompt,
    *,
    deepest: int | None = None,
    keep_tokens: bool = False,
) -> list[SuffixMass]:
    """Return the masses of every suffix of a prompt over one shared prefix.

    The prefix is prefilled once; its key/value cache is cropped back after each suffix.
    Nothing behind the attention weights of ``deepest`` is computed, and no
    language-model head.

    Args:
        deepest: last layer read (counting from 0); None reads all layers.
        keep_tokens: also return the mass of each document token.
    """
    last = model.layers - 1 if deepest is None else deepest
    if not 0 <= last < model.layers:
        raise HeadRankError(f"layer {last} asked for; the model has layers 0..{model.layers - 1}")
    device = model.device
    # A cache without the model's config keeps every position in every layer; sliding
    # layers then see their window through the mask, and cropping is always exact.
    cache = DynamicCache()
    _forward(model, prompt.prefix, cache, Recorder(deepest=last))
    index = torch.from_numpy(prompt.document_index()).to(device)
    masses = []
    for suffix in prompt.suffixes:
        start = len(prompt.prefix)
        rows = (start + suffix.rows[0], start + suffix.rows[1])
        target = Target(rows=rows, index=index, documents=len(prompt.spans))
        recorder = Recorder(targets=(target,), deepest=last, keep_tokens=keep_tokens)
        _forward(model, suffix.ids, cache, recorder)
        cache.crop(-len(suffix.ids))
        masses.append(
            SuffixMass(
                documents=_stack(recorder.mass),
                tokens=_stack(recorder.tokens) if keep_tokens else None,
            )
        )
    return masses


def _forward(model: LoadedModel, ids, cache: DynamicCache, recorder: Recorder) -> None:
    tokens = torch.tensor([ids], device=model.device)
    with contextlib.suppress(ReadingComplete):
        model.decoder(input_ids=tokens, past_key_values=cache, use_cache=True, recorder=recorder)


def _stack(layers: dict[int, list[torch.Tensor]]) -> np.ndarray:
    """Return ``[layers, heads, ...]`` float32 of the first sequence."""
    return torch.stack([layers[layer][0] for layer in sorted(layers)]).cpu().numpy()


def read_list(
    model: LoadedModel,
    builder: PromptBuilder,
    candidates: CandidateList,
    *,
    calibrate: bool = True,
    deepest: int | None = None,
    keep_tokens: bool = False,
) -> tuple[ListReading, int]:
    """Return the reading of one list (documents in prompt order) and its prompt's tokens."""
    queries = None if calibrate else (candidates.query,)
    prompt = builder.build(candidates, queries)
    masses = read_prompt(model, prompt, deepest=deepest, keep_tokens=keep_tokens or calibrate)
    widths = np.array([stop - start for start, stop in prompt.spans])
    ends = widths.cumsum()
    spans = np.stack([ends - widths, ends], axis=1)
    calibration = contrast = tokens = None
    if calibrate:
        difference = masses[0].tokens - masses[1].tokens
        calibration = masses[1].documents
        contrast = difference.sum(axis=(0, 1), dtype=np.float64).astype(np.float32)
        tokens = difference if keep_tokens else None
    reading = ListReading(
        query_id=candidates.query_id,
        doc_ids=candidates.doc_ids,
        query=masses[0].documents,
        calibration=calibration,
        spans=spans,
        contrast=contrast,
        tokens=tokens,
    )
    reading.check(model.name)
    return reading, prompt.length


def read_lists(
    model: LoadedModel,
    builder: PromptBuilder,
    lists: Iterable[CandidateList],
    *,
    calibrate: bool = True,
    deepest: int | None = None,
    keep_tokens: bool = False,
    label: str = "reading",
    progress: bool = True,
) -> Iterator[ListReading]:
    """Yield the reading of each list; a progress bar shows queries and tokens a second."""
    lists = list(lists)
    # Every prompt is built before the first prefill: a list that does not fit the
    # context is told at once, not after an hour.
    for candidates in lists:
        builder.build(candidates)
    with tqdm(total=len(lists), desc=label, unit="query", disable=not progress) as bar:
        tokens = 0
        for candidates in lists:
            reading, length = read_list(
                model,
                builder,
                candidates,
                calibrate=calibrate,
                deepest=deepest,
                keep_tokens=keep_tokens,
            )
            tokens += length
            bar.update()
            bar.set_postfix_str(f"{tokens / max(bar.format_dict['elapsed'], 1e-9):.0f} tokens/s")
            yield reading
