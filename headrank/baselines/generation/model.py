"""A language model that writes: loading it, its next token, its greedy answer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

from headrank.errors import HeadRankError
from headrank.models.cache import cache_argument
from headrank.models.decoder import DTYPES, check_dtype
from headrank.models.safe_loading import check_device, load_tokenizer, load_weights


@dataclass(frozen=True)
class Generator:
    """A causal language model with its tokenizer; ``stop`` holds the ids that end an answer."""

    model: Any
    tokenizer: Any
    context: int
    stop: frozenset[int]


def load_generator(
    path: str | os.PathLike, *, dtype: str = "float32", device: str = "cpu"
) -> Generator:
    """Return a model that writes, with its language-model head and SDPA attention.

    Raises:
        HeadRankError: unknown dtype, no such device, nothing to load there, or weights that
            are absent or hold NaN.
    """
    check_dtype(dtype)
    device = check_device(device)
    _, tokenizer = load_tokenizer(path)
    model = load_weights(
        AutoModelForCausalLM,
        path,
        device=device,
        dtype=DTYPES[dtype],
        attn_implementation="sdpa",
    )
    ends = (tokenizer.eos_token_id, model.config.eos_token_id, model.generation_config.eos_token_id)
    return Generator(model, tokenizer, model.config.max_position_embeddings, frozenset(_flat(ends)))


def _flat(ends: Iterable[Any]) -> Iterable[int]:
    """Yield token ids; a model names one end, several in a list, or none."""
    for end in ends:
        if isinstance(end, int):
            yield end
        elif end is not None:
            yield from end


def greedy(generator: Generator, ids: Sequence[int], most: int) -> list[int]:
    """Return the token ids that follow a prompt, up to the end of the answer or ``most``."""
    cache, written, fed = DynamicCache(config=generator.model.config), [], list(ids)
    while len(written) < most:
        token = int(next_logits(generator, fed, cache=cache)[-1].argmax())
        if token in generator.stop:
            break
        written.append(token)
        fed = [token]
    return written


@torch.inference_mode()
def next_logits(
    generator: Generator, ids: Sequence[int], *, keep: int = 1, cache: DynamicCache | None = None
) -> torch.Tensor:
    """Return ``[keep, vocabulary]`` float32 logits: what follows each of the last ``keep`` ids.

    Raises:
        HeadRankError: the model gives NaN.
    """
    tokens = torch.tensor([list(ids)], device=generator.model.device)
    found = generator.model(
        input_ids=tokens,
        use_cache=cache is not None,
        logits_to_keep=keep,
        **cache_argument(generator.model, cache),
    )
    logits = found.logits[0].float()
    refuse_nan(generator, logits, len(ids))
    return logits


def refuse_nan(generator: Generator, logits: torch.Tensor, tokens: int) -> None:
    """Raise a :class:`HeadRankError` if logits that follow so many tokens hold NaN."""
    if torch.isnan(logits).any():
        raise HeadRankError(
            f"{generator.model.name_or_path}: the model gives NaN after {tokens} tokens; fetch "
            "or convert the model again, or use another dtype"
        )
