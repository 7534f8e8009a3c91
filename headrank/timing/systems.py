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
    """Return a system that reranks one list by attention; a prompt is one pass."""

    # Counting tokens builds the prompt once more: the round that is not measured pays it.
    known: dict[CandidateList, Work] = {}

    def rank(candidates: CandidateList) -> Work:
        list(ranker.rerank_lists([candidates]))
        if candidates not in known:
            known[candidates] = Work(*ranker.work(candidates), layers=ranker.model.layers)
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
    path: str | os.PathLike, max_tokens: int, device: str = "cpu", batch: int = 32
) -> System:
    """Return a system that encodes query and candidates and compares them (bi-encoder).

    Documents are encoded with the query: an index made beforehand would cost less a query,
    and its own time and place.
    """
    tokenizer, encoder = load_encoder(path, device)

    @torch.inference_mode()
    def rank(candidates: CandidateList) -> Work:
        documents = (f"{p.title}\n{p.text}".strip() for p in candidates.passages)
        # Neighbours of similar length waste little padding.
        texts = [candidates.query, *sorted(documents, key=len)]
        vectors, tokens = [], 0
        for first in range(0, len(texts), batch):
            pooled, read = embed(tokenizer, encoder, texts[first : first + batch], max_tokens)
            vectors.append(pooled)
            tokens += read
        joined = torch.nn.functional.normalize(torch.cat(vectors), dim=-1)
        (joined @ joined[0]).cpu()
        return Work(len(vectors), tokens)

    return rank
