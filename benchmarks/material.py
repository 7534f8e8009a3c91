"""What is measured on: lists of given size, heads of given depth, a bare model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from headrank.data.candidates import CandidateList, Passage
from headrank.data.heads import Head, HeadSet
from headrank.models.decoder import DTYPES
from headrank.models.products import widen
from headrank.options.prompt import PromptOptions
from headrank.reading.prompt_tokens import Prompt

if TYPE_CHECKING:
    from headrank.ranker.ranker import HeadRanker

# Common words of one to three tokens: the cost of a prefill depends on the number of tokens,
# not on what they say.
_WORDS = (
    "the of a insurance policy is in to and for cover your life health premium term company age "
    "cost pay benefit years money coverage death plan loan house car accident claim deductible "
    "mortgage disability income retirement annuity beneficiary medicare agent quote rate risk"
)


def passages(documents: int, words: int, seed: int = 13) -> CandidateList:
    """Return a list of passages of so many words each, drawn from common words."""
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.choice(_WORDS.split(), size=words)) for _ in range(documents)]
    return CandidateList(
        "benchmark",
        "how much does term life insurance cost at the age of 60",
        tuple(f"d{number}" for number in range(documents)),
        tuple(Passage("", text) for text in texts),
    )


def tokens_of(prompt: Prompt) -> tuple[int, ...]:
    """Return the ids of prefix and query as one sequence."""
    return prompt.prefix + prompt.suffixes[0].ids


def some_heads(layers: int, heads: int, share: float = 0.6, count: int = 8) -> HeadSet:
    """Return heads of the last layers before ``share`` of the depth, two a layer.

    A model of few layers has fewer than ``count`` of them.
    """
    deepest = round(share * layers) - 1
    count = min(count, 2 * (deepest + 1))
    places = [(deepest - number // 2, (3 * number) % heads) for number in range(count)]
    return HeadSet(tuple(Head(layer, head) for layer, head in places))


def ranker_of(
    path: str | os.PathLike, heads: HeadSet, method: str, *, dtype: str, device: str
) -> HeadRanker:
    """Return a ranker of lists as they come; one that is too long is refused, not cut."""
    # Not above: others measure the memory of a process that needs no ranker.
    from headrank.ranker.ranker import HeadRanker

    return HeadRanker.from_pretrained(
        path,
        heads,
        method=method,
        prompt=PromptOptions(),
        order="first-stage",
        dtype=dtype,
        device=device,
    )


def bare_model(
    path: str | os.PathLike, dtype: str, layers: int | None = None, device: str = "cpu"
) -> torch.nn.Module:
    """Return the decoder with transformers' own SDPA attention, cut to so many layers."""
    # A report of the layers that are left out on purpose would fill the log.
    logging.set_verbosity_error()
    config = AutoConfig.from_pretrained(path, trust_remote_code=False).get_text_config(decoder=True)
    if layers is not None:
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    model = AutoModel.from_pretrained(
        path,
        config=config,
        dtype=DTYPES[dtype],
        attn_implementation="sdpa",
        trust_remote_code=False,
        use_safetensors=True,
    )
    model.eval().requires_grad_(False).to(device)
    widen(model)  # else our readings would win by what their products gain on some processors
    return model


@torch.inference_mode()
def prefill(model: torch.nn.Module, ids: tuple[int, ...]) -> None:
    """Run one forward pass as any user of the model would."""
    model(input_ids=torch.tensor([ids], device=next(model.parameters()).device))
