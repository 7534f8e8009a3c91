"""Greedy answers to several prompts at once: each is read alone, then all are written together.

A prompt is thousands of tokens, which fill a device by themselves, and read alone it gives
the same numbers as ever. An answer is written token by token, where a model waits for its
weights: there several lists cost little more than one. Caches are padded on the left.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from headrank.baselines.generation.model import Generator, greedy, next_logits, refuse_nan
from headrank.models.cache import cache_argument


def greedy_together(
    generator: Generator, prompts: Sequence[Sequence[int]], most: Sequence[int]
) -> list[list[int]]:
    """Return the token ids that follow each prompt, as :func:`greedy` gives them one by one.

    Sums of a batch are rounded in another order, so that two tokens with nearly equal logits
    may change places: rarely in float32, more often in bfloat16.

    Args:
        most: tokens that may be written behind each prompt.

    Raises:
        HeadRankError: the model gives NaN.
    """
    if len(prompts) == 1:
        return [greedy(generator, prompts[0], most[0])]
    written: list[list[int]] = [[] for _ in prompts]
    caches, rows, fed = [], [], []
    for row, ids in enumerate(prompts):
        # Without the model's config every layer keeps every position, and sliding layers see
        # their window through the mask: so that caches of different lengths can be joined.
        cache = DynamicCache()
        token = int(next_logits(generator, ids, cache=cache)[-1].argmax())
        if most[row] > 0 and token not in generator.stop:
            written[row].append(token)
            if most[row] > 1:
                caches.append(cache)
                rows.append(row)
                fed.append(token)
    if rows:
        lengths = [len(prompts[row]) for row in rows]
        _write(generator, _joined(caches), lengths, rows, fed, most, written)
    return written


def _joined(caches: list[DynamicCache]) -> DynamicCache:
    """Return one cache of several sequences, shorter ones padded on the left; empty the others."""
    width = max(cache.get_seq_length() for cache in caches)
    pairs = []
    for layers in zip(*(cache.layers for cache in caches), strict=True):
        parts = []
        for name in ("keys", "values"):
            states = [getattr(layer, name) for layer in layers]
            _, heads, _, size = states[0].shape
            joined = states[0].new_zeros(len(states), heads, width, size)
            for row, state in enumerate(states):
                joined[row, :, width - state.shape[2] :] = state[0]
            for layer in layers:
                setattr(layer, name, None)
            parts.append(joined)
        pairs.append(tuple(parts))
    return DynamicCache(ddp_cache_data=pairs)


@torch.inference_mode()
def _write(
    generator: Generator,
    cache: DynamicCache,
    lengths: list[int],
    rows: list[int],
    fed: list[int],
    most: Sequence[int],
    written: list[list[int]],
) -> None:
    """Append to ``written`` until every row has ended; ended rows leave the batch.

    Args:
        lengths: tokens of each row's prompt.
        rows: of each sequence in the cache, its place in ``written`` and ``most``.
        fed: the last token of each row, which the cache does not hold yet.
    """
    device = generator.model.device
    width = max(lengths)
    positions = torch.tensor(lengths, device=device)[:, None]
    seen = torch.arange(width, device=device) >= width - positions
    tokens = torch.tensor(fed, device=device)[:, None]
    while rows:
        seen = torch.cat([seen, seen.new_ones(len(rows), 1)], dim=1)
        logits = generator.model(
            input_ids=tokens,
            attention_mask=seen.long(),
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **cache_argument(generator.model, cache),
        ).logits[:, -1]
        refuse_nan(generator, logits, int(positions.max()) + 1)
        found = logits.float().argmax(-1)
        going = []
        for place, (row, token) in enumerate(zip(rows, found.tolist(), strict=True)):
            if token not in generator.stop:
                written[row].append(token)
                if len(written[row]) < most[row]:
                    going.append(place)
        if len(going) < len(rows):
            kept = torch.tensor(going, dtype=torch.long, device=device)
            if going:
                cache.batch_select_indices(kept)
            seen, positions, found = seen[kept], positions[kept], found[kept]
            rows = [rows[place] for place in going]
        tokens, positions = found[:, None], positions + 1
