"""The dense control: a sentence encoder's cosine similarity over the same candidates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModel

from headrank.data.candidates import CandidateList
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.io.progress import follow
from headrank.models.safe_loading import check_device, load_tokenizer, load_weights
from headrank.reading.plain_text import plain_batch


@torch.inference_mode()
def dense_run(
    model: str | os.PathLike,
    lists: Sequence[CandidateList],
    *,
    max_tokens: int,
    device: str = "cpu",
    batch: int = 32,
    name: str = "dense",
) -> Run:
    """Return candidates ordered by the cosine of mean-pooled embeddings (bi-encoder).

    Args:
        model: folder or hub repository of an encoder trained for mean pooling
            (all-MiniLM-L6-v2).
        max_tokens: where texts are cut.

    Raises:
        HeadRankError: the encoder cannot be loaded whole, is given more tokens than it has
            positions, or there is no such device.
    """
    tokenizer, encoder = load_encoder(model, device)
    positions = encoder.config.max_position_embeddings
    if max_tokens > positions:
        raise HeadRankError(f"{model}: max_tokens is {max_tokens}, the encoder has {positions}")
    texts: dict[str, str] = {}
    for candidates in lists:
        texts[f"q {candidates.query_id}"] = candidates.query
        for document, passage in zip(candidates.doc_ids, candidates.passages, strict=True):
            texts[f"d {document}"] = f"{passage.title}\n{passage.text}".strip()
    # Neighbours of similar length waste little padding; the order changes no embedding.
    keys = sorted(texts, key=lambda key: (len(texts[key]), key))
    vectors: dict[str, np.ndarray] = {}
    for start in follow(range(0, len(keys), batch), desc=name, unit="batch"):
        chosen = keys[start : start + batch]
        pooled, _ = embed(tokenizer, encoder, [texts[key] for key in chosen], max_tokens)
        unit = torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy()
        vectors.update(zip(chosen, unit, strict=True))
    return Run.from_scores(
        {
            candidates.query_id: {
                document: float(vectors[f"q {candidates.query_id}"] @ vectors[f"d {document}"])
                for document in candidates.doc_ids
            }
            for candidates in lists
        },
        name,
    )


@torch.inference_mode()
def embed(
    tokenizer: Any, encoder: torch.nn.Module, texts: Sequence[str], max_tokens: int
) -> tuple[torch.Tensor, int]:
    """Return ``[texts, width]``, the mean of each text's states, and the tokens that were read."""
    tokens = plain_batch(tokenizer, texts, max_tokens=max_tokens, device=encoder.device)
    states = encoder(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    return (states * mask).sum(1) / mask.sum(1), int(mask.sum())


def load_encoder(model: str | os.PathLike, device: str = "cpu") -> tuple[Any, torch.nn.Module]:
    """Return tokenizer and encoder, whole, on a device."""
    device = check_device(device)
    _, tokenizer = load_tokenizer(model, "encoder")
    # Mean pooling does not read the pooler, and many encoders come without one.
    encoder = load_weights(AutoModel, model, device=device, what="encoder", optional=("pooler.",))
    return tokenizer, encoder
