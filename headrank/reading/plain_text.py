"""Texts of others in ordinary tokens: no text becomes a token that was added to the tokenizer.

Added tokens (``<|im_end|>``, Qwen3's ``<think>``) steer a model. A passage or a query that holds
their characters must give those characters, never the token. transformers' option
``split_special_tokens`` covers only added tokens that are marked as special. So texts are encoded
by a copy of the tokenizer that has no added tokens, and whose vocabulary cannot spell them either.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer

from headrank.errors import HeadRankError

_SPACES = "▁ĠĊĉ"  # how vocabularies write a space, a line break, a tab
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_known: weakref.WeakKeyDictionary[Any, tuple[str, Tokenizer]] = weakref.WeakKeyDictionary()


def plain_tokenizer(tokenizer: Any) -> Tokenizer:
    """Return a copy of a fast tokenizer that spells every added token out.

    Ordinary text gets the ids and offsets that the tokenizer itself gives. Kept for the
    tokenizer's lifetime.

    Raises:
        HeadRankError: a tokenizer without character offsets, or one that cannot be copied.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise HeadRankError(
            f"{type(tokenizer).__name__} gives no character offsets; "
            "use a model with a fast tokenizer (tokenizer.json)"
        )
    backend = tokenizer.backend_tokenizer
    added = repr(sorted((id, t.content) for id, t in backend.get_added_tokens_decoder().items()))
    known = _known.get(tokenizer)
    if known is None or known[0] != added:
        try:
            state = json.loads(backend.to_str())
            plain = Tokenizer.from_str(json.dumps(_without_added(state)))
        except Exception as error:  # tokenizers raises bare exceptions
            raise HeadRankError(
                f"{type(tokenizer).__name__} cannot be copied without its added tokens "
                f"({str(error).splitlines()[0]}); use a model with an ordinary tokenizer.json"
            ) from None
        known = _known[tokenizer] = added, plain
    return known[1]


def _without_added(state: dict) -> dict:
    """Return a tokenizer's state without added tokens, and with none that its model can make.

    Where the model's own vocabulary holds an added token, the entry keeps its id under a name
    that no text can spell, and no merge makes it or is made of it. Entries of one character, of
    white space or of one byte stay: they are what such a text is spelt with.
    """
    model = state["model"]
    ids = {token["id"] for token in state["added_tokens"]}
    state = {**state, "added_tokens": [], "truncation": None, "padding": None}
    entries = model["vocab"]
    if isinstance(entries, list):  # Unigram: [piece, score], the place is the id
        hidden = {piece: _name(id) for id, (piece, _) in enumerate(entries) if id in ids}
    else:
        hidden = {piece: _name(id) for piece, id in entries.items() if id in ids}
    hidden = {piece: name for piece, name in hidden.items() if not _spells_itself(piece)}
    if isinstance(entries, list):
        vocab = [[hidden.get(piece, piece), score] for piece, score in entries]
    else:
        vocab = {hidden.get(piece, piece): id for piece, id in entries.items()}
    model = {**model, "vocab": vocab}
    if model.get("unk_token") in hidden:
        model["unk_token"] = hidden[model["unk_token"]]
    if model.get("merges"):
        prefix = len(model.get("continuing_subword_prefix") or "")
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        model["merges"] = [
            [left, right]
            for left, right in pairs
            if not {left, right, left + right[prefix:]} & hidden.keys()
        ]
    return {**state, "model": model}


def _name(id: int) -> str:
    """Return a vocabulary's name for an id that no text spells: noncharacters of Unicode."""
    return f"\ufdd0{id}\ufdd1"


def _spells_itself(piece: str) -> bool:
    """Return whether a vocabulary's entry is one character, white space, or one byte."""
    return len(piece) == 1 or not piece.strip().strip(_SPACES) or bool(_BYTE.fullmatch(piece))


def plain_batch(
    tokenizer: Any,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    max_tokens: int,
    padded: bool = True,
    device: str | torch.device = "cpu",
) -> dict[str, torch.Tensor]:
    """Return what a call of the tokenizer gives an encoder, with all texts spelt out.

    Args:
        pairs: the second text of each input, for a cross-encoder.
        max_tokens: where an input is cut, the longer of two texts first.
        padded: fill short inputs up; without it the inputs are of one length.

    Returns:
        ``[texts, tokens]`` for each of the model's inputs (``input_ids``, ...).
    """
    plain = plain_tokenizer(tokenizer)
    inputs = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
    try:
        plain.enable_truncation(
            max_tokens, strategy="longest_first", direction=tokenizer.truncation_side
        )
        if padded:
            plain.enable_padding(
                direction=tokenizer.padding_side,
                pad_id=tokenizer.pad_token_id,
                pad_type_id=tokenizer.pad_token_type_id,
                pad_token=tokenizer.pad_token,
            )
        found = plain.encode_batch(inputs)
    finally:
        plain.no_truncation()
        plain.no_padding()
    columns = {
        "input_ids": [one.ids for one in found],
        "token_type_ids": [one.type_ids for one in found],
        "attention_mask": [one.attention_mask for one in found],
    }
    wanted = {"attention_mask", *tokenizer.model_input_names}
    return {
        name: torch.tensor(rows, device=device) for name, rows in columns.items() if name in wanted
    }
