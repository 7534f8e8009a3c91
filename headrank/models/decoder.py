"""Decoder models whose heads are read: loading, and what is supported."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModel

from headrank.errors import HeadRankError
from headrank.io.files import json_sha256
from headrank.models import attention
from headrank.models.card import weights_digest
from headrank.models.devices import used_gpu
from headrank.models.safe_loading import check_device, check_supported, load_tokenizer, load_weights
from headrank.options.checks import check_path

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Of a config: what says where it came from, or is told otherwise.
_NOT_CONFIG = ("_name_or_path", "transformers_version", "dtype", "num_hidden_layers", "layer_types")
logger = logging.getLogger(__name__)


@dataclass(repr=False)
class LoadedModel:
    """A decoder without its language-model head, with its tokenizer.

    Attributes:
        decoder: the base model; attention is read through :mod:`headrank.models.attention`.
        layers, heads: the decoder's depth and query heads a layer.
        context: longest sequence in tokens.
        digest: SHA-256 of the weights file the model was loaded from, or ``commit-`` and the
            hub's commit: heads and adapters are tied to it.
        query_adapter: the decoder's adapter changes the tokens of queries alone
            (:mod:`headrank.models.query_adapter`), so it encodes documents as without one.
    """

    decoder: torch.nn.Module
    tokenizer: Any
    name: str
    layers: int
    heads: int
    context: int
    digest: str
    query_adapter: bool = False

    @property
    def device(self) -> torch.device:
        """Return where the weights lie."""
        return next(self.decoder.parameters()).device

    @property
    def gpu(self) -> dict[str, str] | None:
        """Return name and driver version of the GPU that it runs on; None on the CPU."""
        return used_gpu(self.device)

    @property
    def dtype(self) -> str:
        """Return the name of the weights' type, as ``load_model`` takes it."""
        return str(next(self.decoder.parameters()).dtype).removeprefix("torch.")

    @property
    def config_digest(self) -> str:
        """Return the SHA-256 of the config that the weights are computed with."""
        config = self.decoder.config.to_dict()
        return json_sha256({k: str(v) for k, v in config.items() if k not in _NOT_CONFIG})

    @property
    def tokenizer_digest(self) -> str:
        """Return the SHA-256 of the tokenizer's rules and vocabulary."""
        state = json.loads(self.tokenizer.backend_tokenizer.to_str())
        # Set by calls, not by the model.
        return json_sha256({k: v for k, v in state.items() if k not in ("truncation", "padding")})

    def __repr__(self) -> str:
        """Return one line: torch prints a decoder on eighty."""
        return (
            f"LoadedModel({self.name!r}, {self.layers} layers of {self.heads} heads, "
            f"context {self.context}, {self.dtype}, {self.device})"
        )


def load_model(
    path: str | os.PathLike,
    *,
    dtype: str | None = None,
    device: str = "cpu",
    layers: int | None = None,
    revision: str | None = None,
) -> LoadedModel:
    """Return a decoder ready to be read.

    Args:
        path: a folder of safetensors, config and tokenizer, or a hub repository.
        dtype: ``float32``, which None means too, or ``bfloat16``.
        device: as torch names it, or ``auto``: a GPU where torch sees one, else the CPU.
        layers: keep only this many layers (depth truncation); None keeps all.
        revision: the hub's commit, for a repository.

    Raises:
        HeadRankError: unknown dtype, missing or damaged files, weights that are not
            safetensors, an unsupported architecture or one that brings code of its own,
            more layers than the model has, or weights that are absent or hold NaN.
    """
    check_path("model", path, "a hub repository")
    dtype = dtype or "float32"
    check_dtype(dtype)
    device = check_device(device)
    config, tokenizer = load_tokenizer(path, revision=revision)
    check_supported(config.model_type, str(path))
    depth = config.num_hidden_layers
    if layers is not None:
        if not 1 <= layers <= depth:
            raise HeadRankError(f"{path}: {layers} layers asked for, the model has {depth}")
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    decoder = load_weights(
        AutoModel,
        path,
        device=device,
        revision=revision,
        config=config,
        dtype=DTYPES[dtype],
        attn_implementation=attention.IMPLEMENTATION,
    )
    return LoadedModel(
        decoder=decoder,
        tokenizer=tokenizer,
        name=str(path),
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        context=config.max_position_embeddings,
        digest=weights_digest(path, revision),
    )


def check_dtype(dtype: str) -> None:
    """Refuse a type of weights that was never compared."""
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise HeadRankError(f"dtype {dtype!r} is unknown; allowed: {', '.join(DTYPES)}")
