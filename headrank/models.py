"""Decoder models whose heads are read: conversion, loading, and what is supported."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

from headrank import attention
from headrank.errors import HeadRankError
from headrank.files import read_json, sha256, write_json
from headrank.folders import MANIFEST, MODEL, atomic_dir, check_replaceable
from headrank.gpu import gpus
from headrank.pretrained import check_device, check_whole, load_tokenizer, load_weights, reason

# Causal decoders that route through AttentionInterface with plain softmax attention,
# each compared with eager attention in the tests.
SUPPORTED = ("gemma3_text", "llama", "mistral", "qwen2", "qwen3")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PROVENANCE = "headrank.json"
logger = logging.getLogger(__name__)


@dataclass(repr=False)
class LoadedModel:
    """A decoder without its language-model head, with its tokenizer.

    Attributes:
        decoder: the base model; attention is read through :mod:`headrank.attention`.
        layers, heads: the decoder's depth and query heads a layer.
        context: longest sequence in tokens.
        digest: SHA-256 of the weights file the model was loaded from, or ``commit-`` and the
            hub's commit: heads and adapters are tied to it.
    """

    decoder: torch.nn.Module
    tokenizer: Any
    name: str
    layers: int
    heads: int
    context: int
    digest: str

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

    def __repr__(self) -> str:
        """Return one line: torch prints a decoder on eighty."""
        return (
            f"LoadedModel({self.name!r}, {self.layers} layers of {self.heads} heads, "
            f"context {self.context}, {self.dtype}, {self.device})"
        )


def used_gpu(device: torch.device) -> dict[str, str] | None:
    """Return name and driver version of a GPU; None for another device.

    The name is torch's own, because numbers of devices differ between tools; the driver is one
    for all devices of a machine, ``unknown`` without nvidia-smi.
    """
    if device.type != "cuda":
        return None
    driver = next((gpu["driver"] for gpu in gpus()), "unknown")
    return {"name": torch.cuda.get_device_name(device), "driver": driver}


def convert_gguf(gguf: str | os.PathLike, target: str | os.PathLike, source: dict) -> None:
    """Dequantise a GGUF file once into a folder of safetensors, config and tokenizer.

    Args:
        source: where the file came from; kept in ``headrank.json``.

    Raises:
        HeadRankError: a damaged file, absent weights, an unsupported architecture, or a
            tokenizer that does not return the text it was given.
    """
    check_replaceable(target, MODEL)
    gguf = Path(gguf)
    file: dict[str, Any] = {
        "pretrained_model_name_or_path": gguf.parent,
        "gguf_file": gguf.name,
    }
    try:
        config = AutoConfig.from_pretrained(**file, trust_remote_code=False)
    except Exception as error:  # numpy, struct and transformers each raise their own
        raise _not_converted(gguf, error) from None
    check_supported(config.model_type, str(gguf))
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            **file,
            dtype=torch.float32,
            output_loading_info=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(**file, trust_remote_code=False)
    except Exception as error:  # as above
        raise _not_converted(gguf, error) from None
    check_whole(report, gguf)
    # A SentencePiece vocabulary (Gemma's) stands in the file without its merges and with runs of
    # spaces spelt as such. The pinned transformers recovers both, so there is nothing to repair;
    # one that does not is refused here.
    check_tokenizer(tokenizer, str(gguf))
    # The weights are plain tensors by now, but transformers refuses to save a model
    # that remembers its quantiser.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    with atomic_dir(target, MODEL) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        record_model(folder, {**source, "note": f"dequantised from {gguf.name}"})


def _not_converted(gguf: Path, error: Exception) -> HeadRankError:
    return HeadRankError(f"{gguf}: not a GGUF file that can be converted ({reason(error)})")


def record_model(folder: str | os.PathLike, source: dict) -> None:
    """Write ``headrank.json``: the source and the SHA-256 of every weights and tokenizer file."""
    folder = Path(folder)
    apart = (PROVENANCE, MANIFEST)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in apart)
    hashes = {p.relative_to(folder).as_posix(): sha256(p) for p in files}
    write_json(folder / PROVENANCE, {"source": source, "sha256": hashes})


def verify_model(folder: str | os.PathLike) -> dict:
    """Return the model's provenance after hashing every file of it again.

    Raises:
        HeadRankError: a file is missing or its bytes changed.
    """
    folder = Path(folder)
    provenance = read_json(folder / PROVENANCE)
    for name, expected in provenance["sha256"].items():
        path = folder / name
        if not path.is_file():
            raise HeadRankError(f"{path}: missing; delete {folder} and convert the model again")
        if sha256(path) != expected:
            raise HeadRankError(
                f"{path}: SHA-256 differs from the one noted when the model was converted; "
                f"delete {folder} and convert it again"
            )
    return provenance


def check_supported(model_type: str, where: str) -> None:
    """Refuse an architecture whose attention was never compared with eager attention."""
    if model_type not in SUPPORTED:
        raise HeadRankError(
            f"{where}: architecture {model_type!r} is not supported; supported: "
            f"{', '.join(SUPPORTED)}"
        )


def check_tokenizer(tokenizer: Any, where: str) -> None:
    """Refuse a tokenizer that loses text or does not know its chat template's tokens."""
    text = "Heads 4 and 12 agree, don't they? naïve café (3.5%)"
    ids = tokenizer.encode(text, add_special_tokens=False)
    back = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if back.strip() != text:
        raise HeadRankError(
            f"{where}: the tokenizer turns {text!r} into {back!r}; use a source with an intact "
            "tokenizer.json"
        )
    if tokenizer.chat_template and not tokenizer.all_special_tokens:
        raise HeadRankError(f"{where}: the tokenizer has a chat template but no special tokens")


def load_model(
    path: str | os.PathLike,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    layers: int | None = None,
    revision: str | None = None,
) -> LoadedModel:
    """Return a decoder ready to be read.

    Args:
        path: a folder of safetensors, config and tokenizer, or a hub repository.
        dtype: ``float32`` or ``bfloat16``.
        device: as torch names it, or ``auto``: a GPU where torch sees one, else the CPU.
        layers: keep only this many layers (depth truncation); None keeps all.
        revision: the hub's commit, for a repository.

    Raises:
        HeadRankError: unknown dtype, missing or damaged files, weights that are not
            safetensors, an unsupported architecture or one that brings code of its own,
            more layers than the model has, or weights that are absent or hold NaN.
    """
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
        digest=_weights_digest(path, revision),
    )


def check_dtype(dtype: str) -> None:
    """Refuse a type of weights that was never compared."""
    if dtype not in DTYPES:
        raise HeadRankError(f"dtype {dtype!r} is unknown; allowed: {', '.join(DTYPES)}")


def _weights_digest(path: str | os.PathLike, revision: str | None) -> str:
    """Return the SHA-256 noted at conversion, or of the weights files themselves.

    A hub repository's is its commit, which names the bytes of its files.
    """
    folder = Path(path)
    if not folder.is_dir():
        # Loaded by now, so the cache holds it, in a folder that the commit names.
        cached = try_to_load_from_cache(str(path), "config.json", revision=revision)
        if not isinstance(cached, str):
            raise HeadRankError(
                f"{path}: the hub's cache does not tell the commit of this model, so heads cannot "
                "be tied to its weights; give a folder that holds it"
            )
        return f"commit-{Path(cached).parent.name}"
    if (folder / PROVENANCE).is_file():
        hashes = read_json(folder / PROVENANCE)["sha256"]
        noted = [h for name, h in sorted(hashes.items()) if name.endswith(".safetensors")]
    else:
        noted = [sha256(path) for path in sorted(folder.glob("*.safetensors"))]
    if not noted:
        # An empty digest would equal that of any other model without one.
        raise HeadRankError(
            f"{folder}: {PROVENANCE} notes no safetensors, so heads cannot be tied to these "
            "weights; delete the folder and convert the model again"
        )
    return "+".join(noted)
