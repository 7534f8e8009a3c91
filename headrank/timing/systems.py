"""Systems whose latency is compared, each as a deployment would run it."""

from __future__ import annotations

import os
import time

import torch

from headrank.baselines.bi_encoder import embed, load_encoder
from headrank.baselines.cross_encoder import CrossEncoder
from headrank.baselines.generation.model import Generator
from headrank.baselines.generation.protocols import GenerativeMethod
from headrank.data.candidates import CandidateList
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.timing.stopwatch import Clock, System, Work


def clock(device: str) -> Clock:
    """Return the clock of a device: CPU seconds of this process, or the wall's on a GPU."""
    if not device.startswith("cuda"):
        return time.process_time

    def wait() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return wait


def attention_system(ranker: HeadRanker) -> System:
    """Return a system that reranks one list by attention; a prompt is one pass.

    A ranker with a store encodes a list's documents in the round that is not measured, as a
    deployment does before any query asks.
    """
    stored = ranker.store is not None

    # Counting tokens builds the prompt once more: the round that is not measured pays it.
    known: dict[CandidateList, Work] = {}

    def rank(candidates: CandidateList) -> Work:
        list(ranker.rerank_lists([candidates]))
        if candidates not in known:
            work = ranker.work(candidates, stored=stored)
            known[candidates] = Work(*work, layers=ranker.model.layers)
        return known[candidates]

    return rank


def generative_system(
    generator: Generator, method: GenerativeMethod, prompt: PromptOptions | None = None
) -> System:
    """Return a system that reranks one list by generation; ``prompt`` limits its documents."""
    layers = generator.model.config.get_text_config().num_hidden_layers

    def rank(candidates: CandidateList) -> Work:
        (made,) = method.rank(generator, [candidates], prompt)
        return Work(made.passes, made.prompt_tokens + made.new_tokens, made.malformed, layers)

    return rank


def cross_system(encoder: CrossEncoder) -> System:
    """Return a system that classifies each candidate with the query (cross-encoder)."""

    def rank(candidates: CandidateList) -> Work:
        made = encoder.score(candidates)
        return Work(made.batches, made.tokens)

    return rank


def encoder_system(
    path: str | os.PathLike,
    max_tokens: int,
    device: str = "cpu",
    batch: int = 32,
    stored: bool = False,
) -> System:
    """Return a system that encodes query and candidates and compares them (bi-encoder).

    Args:
        stored: keep the documents' vectors, so that a list costs the query alone from its second
            round on; the first is not measured. Else documents are encoded with the query.
    """
    tokenizer, encoder = load_encoder(path, device)
    kept: dict[str, torch.Tensor] = {}

    @torch.inference_mode()
    def rank(candidates: CandidateList) -> Work:
        documents = [f"{p.title}\n{p.text}".strip() for p in candidates.passages]
        # Neighbours of similar length waste little padding.
        new = sorted((text for text in documents if text not in kept), key=len)
        texts = [candidates.query, *new]
        vectors, tokens = [], 0
        for first in range(0, len(texts), batch):
            pooled, read = embed(tokenizer, encoder, texts[first : first + batch], max_tokens)
            vectors.append(pooled)
            tokens += read
        query, *made = torch.nn.functional.normalize(torch.cat(vectors), dim=-1)
        known = kept | dict(zip(new, made, strict=True))
        (torch.stack([known[text] for text in documents]) @ query).cpu()
        if stored:
            kept.update(known)
        return Work(len(vectors), tokens)

    return rank
