"""Models and prompts made on the spot: random weights in real shapes, random token ids.

What a pass costs depends on shapes alone, so nothing is fetched and no tokenizer is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoConfig, AutoModel, PreTrainedConfig

from headrank.errors import HeadRankError
from headrank.models import attention
from headrank.models.decoder import DTYPES, LoadedModel
from headrank.models.norms import fuse_norms
from headrank.options.prompt import QUERY_OFFSET
from headrank.reading.layout import Blocks
from headrank.reading.prompt_tokens import Prompt, Suffix

# As their config.json states them.
_QWEN3 = {
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    "tie_word_embeddings": True,
}
SHAPES: dict[str, dict] = {
    "qwen3-0.6b": _QWEN3 | {"hidden_size": 1024, "intermediate_size": 3072},
    "qwen3-1.7b": _QWEN3 | {"hidden_size": 2048, "intermediate_size": 6144},
    "qwen3-4b": _QWEN3
    | {
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
    },
    "tiny": _QWEN3
    | {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 500,
    },
}


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt's parts.

    Attributes:
        prefix: before the first document.
        document: of each, marker and separator included.
        marker, separator: of each document's tokens those before and behind its text.
        suffix: instruction and query; its last ``rows`` are the query's.
    """

    prefix: int = 16
    document: int = 130
    marker: int = 4
    separator: int = 2
    suffix: int = 60
    rows: int = 20


def config_of(name: str, layers: int | None = None) -> PreTrainedConfig:
    """Return the configuration of a named shape, cut to so many layers."""
    if name not in SHAPES:
        raise HeadRankError(f"model {name!r} is unknown; allowed: {', '.join(SHAPES)}")
    shape = SHAPES[name] if layers is None else SHAPES[name] | {"num_hidden_layers": layers}
    return AutoConfig.for_model("qwen3", **shape)


def decoder(
    name: str,
    *,
    dtype: str,
    device: str,
    layers: int | None = None,
    own: bool = True,
    weights: torch.nn.Module | None = None,
) -> torch.nn.Module:
    """Return a decoder with random weights, made where it will run.

    Args:
        own: attention as HeadRank reads it; else transformers' plain SDPA.
        weights: another decoder of this shape, as deep or deeper, whose tensors are shared.
    """
    torch.manual_seed(13)
    with torch.device(device):
        model = AutoModel.from_config(
            config_of(name, layers),
            dtype=DTYPES[dtype],
            attn_implementation=attention.IMPLEMENTATION if own else "sdpa",
        )
    if weights is not None:
        model.load_state_dict(weights.state_dict(), strict=False, assign=True)
    return model.eval().requires_grad_(False)


def as_loaded(model: torch.nn.Module, name: str) -> LoadedModel:
    """Return the decoder as ``load_model`` would give it, without a tokenizer."""
    fuse_norms(model)
    own = model.config
    return LoadedModel(
        decoder=model,
        tokenizer=None,
        name=name,
        layers=own.num_hidden_layers,
        heads=own.num_attention_heads,
        context=own.max_position_embeddings,
        digest=f"made-{name}",
    )


def prompt(
    documents: int,
    vocabulary: int,
    lengths: Lengths,
    *,
    seed: int = 13,
    spread: float = 0.0,
    block: bool = False,
) -> Prompt:
    """Return a prompt of random ids.

    Args:
        spread: documents are longer or shorter by up to this share of their length.
        block: in layout block, else joint.
    """
    generator = np.random.default_rng(seed)
    shares = 1 + spread * generator.uniform(-1, 1, size=documents)
    widths = np.maximum(
        np.rint(lengths.document * shares).astype(int), lengths.marker + lengths.separator + 1
    )
    ends = lengths.prefix + widths.cumsum()
    spans = [
        (int(end - width + lengths.marker), int(end - lengths.separator))
        for end, width in zip(ends, widths, strict=True)
    ]
    before, tail = (
        tuple(generator.integers(3, vocabulary, size=int(count)).tolist())
        for count in (ends[-1], lengths.suffix)
    )
    rows = (lengths.suffix - lengths.rows, lengths.suffix)
    suffixes = (Suffix(tail, rows),)
    if not block:
        return Prompt(before, tuple(spans), suffixes)
    bounds = [(int(end - width), int(end)) for end, width in zip(ends, widths, strict=True)]
    order = np.argsort(widths, kind="stable").tolist()
    offset = max(QUERY_OFFSET, int(widths.max()))
    blocks = Blocks((before[: lengths.prefix],), tuple(bounds), tuple(order), offset)
    return Prompt(before, tuple(spans), suffixes, blocks=blocks)


def document_lengths(prompt: Prompt, lengths: Lengths) -> list[int]:
    """Return the tokens of each document, its marker and separator included."""
    added = lengths.marker + lengths.separator
    return [stop - start + added for start, stop in prompt.spans]
