"""Candidate lists read: what every head of every layer says of each list's documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from headrank.data.candidates import CandidateList
from headrank.io.progress import follow
from headrank.models.decoder import LoadedModel
from headrank.reading.batches import TokenBudget, in_batches
from headrank.reading.document_store import Shelf
from headrank.reading.prefill import PendingMass, SuffixMass, read_prompt, read_side_by_side
from headrank.reading.prompt import PromptBuilder
from headrank.reading.prompt_tokens import Prompt
from headrank.reading.readings import ListReading
from headrank.reading.recording import CALIBRATED, ReadOptions
from headrank.reading.sliding_window import distances, layer_windows


def read_list(
    model: LoadedModel,
    builder: PromptBuilder,
    candidates: CandidateList,
    options: ReadOptions = CALIBRATED,
    *,
    shelf: Shelf | None = None,
) -> tuple[ListReading, int]:
    """Return the reading of one list (documents in prompt order) and its prompt's tokens."""
    queries = None if options.calibrate else (candidates.query,)
    prompt = builder.build(candidates, queries)
    masses = read_prompt(model, prompt, options.recording, shelf=shelf)
    return _reading(model, candidates, prompt, masses, options), prompt.length


def _reading(
    model: LoadedModel,
    candidates: CandidateList,
    prompt: Prompt,
    masses: Sequence[SuffixMass],
    options: ReadOptions,
) -> ListReading:
    """Return the reading that one list's masses make."""
    calibration = contrast = tokens = None
    if options.calibrate:
        difference = masses[0].tokens - masses[1].tokens
        calibration = masses[1].documents
        contrast = difference.sum(axis=(0, 1), dtype=np.float64).astype(np.float32)
        tokens = difference if options.keep_tokens else None
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
    options: ReadOptions = CALIBRATED,
    *,
    budget: TokenBudget | None = None,
    shelf: Shelf | None = None,
    label: str | None = "reading",
) -> Iterator[ListReading]:
    """Yield the reading of each list; a progress bar shows queries and tokens a second.

    Args:
        options: what each reading holds.
        budget: of the tokens of lists read side by side; by default every list is read alone.
            Side by side masses are those of single lists up to rounding.
        shelf: in a layout whose documents can be kept, those that are there are not read again.
        label: of the progress bar; None shows none.
    """
    lists = list(lists)
    # Every prompt is built before the first prefill: a list that does not fit the
    # context is told at once, not after an hour.
    if budget is None or budget.alone:
        for candidates in lists:
            builder.build(candidates)
        found = (
            (number, *read_list(model, builder, candidates, options, shelf=shelf))
            for number, candidates in enumerate(lists)
        )
    else:
        prompts = [builder.build(candidates) for candidates in lists]
        found = _read_batches(model, lists, prompts, options, budget, shelf)
    waiting: dict[int, ListReading] = {}
    with follow(total=len(lists), desc=label, unit="query", disable=label is None) as bar:
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
    options: ReadOptions,
    budget: TokenBudget,
    shelf: Shelf | None,
) -> Iterator[tuple[int, ListReading, int]]:
    """Yield number, reading and tokens of each list, longest first, as many at once as fit."""
    if not options.calibrate:
        prompts = [replace(prompt, suffixes=prompt.suffixes[:1]) for prompt in prompts]

    def read(batch: list[int]) -> list[list[PendingMass]]:
        chosen = [prompts[number] for number in batch]
        return read_side_by_side(model, chosen, options.recording, shelf=shelf)

    for number, pending in in_batches([prompt.length for prompt in prompts], budget, read):
        prompt = prompts[number]
        masses = [one.wait() for one in pending]
        yield number, _reading(model, lists[number], prompt, masses, options), prompt.length
