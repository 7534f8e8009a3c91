"""The dense control: a sentence encoder's cosine similarity over the same candidates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from headrank.errors import HeadRankError
from headrank.gpu import choose_device
from headrank.lists import CandidateList
from headrank.pretrained import check_weights, reason
from headrank.progress import follow
from headrank.trec import Run


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
    device = choose_device(device)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise HeadRankError(f"device {device!r}: no CUDA device is visible; use cpu or auto")
    tokenizer, encoder = load_encoder(model)
    encoder.to(device)
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
        tokens = tokenizer(
            [texts[key] for key in chosen],
            padding=True,
            truncation=True,
            max_length=max_tokens,
            return_tensors="pt",
        ).to(device)
        states = encoder(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        pooled = (states * mask).sum(1) / mask.sum(1)
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


def load_encoder(model: str | os.PathLike) -> tuple[Any, torch.nn.Module]:
    """Return tokenizer and encoder; transformers would draw absent weights at random."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        check_weights(model)
        encoder, report = AutoModel.from_pretrained(
            model, output_loading_info=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise HeadRankError(f"{model}: no encoder can be loaded ({reason(error)})") from None
    # Mean pooling does not read the pooler, and many encoders come without one.
    absent = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if absent:
        raise HeadRankError(
            f"{model}: {len(absent)} weights are missing, first {absent[0]}; "
            "fetch the encoder again"
        )
    return tokenizer, encoder.eval()
