"""GGUF files, dequantised to weights that load like any other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from headrank.errors import HeadRankError
from headrank.io.extras import need
from headrank.io.folders import MODEL, atomic_dir, check_replaceable
from headrank.models.card import record_model
from headrank.models.decoder import DTYPES, check_dtype
from headrank.models.safe_loading import check_supported, check_whole, reason

if TYPE_CHECKING:
    import os


def convert_gguf(
    gguf: str | os.PathLike, target: str | os.PathLike, source: dict, dtype: str = "float32"
) -> None:
    """Dequantise a GGUF file once into a folder of safetensors, config and tokenizer.

    Args:
        source: where the file came from; kept in ``headrank.json``.
        dtype: of the weights that are written, ``float32`` or ``bfloat16``. Rounded here or when
            they are loaded: weights read in bfloat16 are the same bits.

    Raises:
        HeadRankError: a damaged file, absent weights, an unsupported architecture, a tokenizer
            that does not return the text it was given, or an unknown dtype.
    """
    need("gguf", f"{gguf}: converting a GGUF file")
    check_dtype(dtype)
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
    model.to(DTYPES[dtype])
    note = f"dequantised from {gguf.name}" + (", kept in bfloat16" if dtype == "bfloat16" else "")
    with atomic_dir(target, MODEL) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        record_model(folder, {**source, "note": note})


def _not_converted(gguf: Path, error: Exception) -> HeadRankError:
    return HeadRankError(f"{gguf}: not a GGUF file that can be converted ({reason(error)})")


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
