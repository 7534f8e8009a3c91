"""Folders with tiny random models that load_model reads, one an architecture and session."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from headrank.data.candidates import CandidateList, Passage
from tests.helpers import models
from tests.helpers.models import HEADS, LAYERS, tokenizer

__all__ = ["ARCHITECTURES", "HEADS", "LAYERS", "TEXTS", "candidates", "folder", "tokenizer"]

TEXTS = models.TEXTS[:6]
# Mistral has a window in every layer, Gemma in every other: it must be long enough to see every
# document of a list, and shorter than the prompt, or a wrong mask would change nothing.
ARCHITECTURES = {
    "llama": {},
    "llama3-rope": {},
    "mistral-window": {"sliding_window": 160},
    "qwen2": {},
    "qwen3": {},
    "gemma3": {"sliding_window": 160},
    "granite": {},
}


@functools.cache
def folder(architecture: str) -> Path:
    """Return the folder of an architecture's random weights; its context is 1024 tokens."""
    target = Path(tempfile.mkdtemp(prefix=f"headrank-{architecture}-"))
    changes = ARCHITECTURES[architecture] | {"max_position_embeddings": 1024}
    return models.save(target, architecture, **changes)


def candidates(
    query: str = "what does a policy pay", query_id: str = "q1", skip: int = 0
) -> CandidateList:
    """Return a list over the texts, without the first ``skip``."""
    return CandidateList(
        query_id,
        query,
        tuple(f"d{number}" for number in range(skip, len(TEXTS))),
        tuple(Passage("", text) for text in TEXTS[skip:]),
    )
