"""The terms of an estimate: shapes, speeds, stages, and the sizes of what jobs write.

What nothing tells is NaN, so that whatever follows from it is NaN too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

UNKNOWN = math.nan
# An array in an .npz has npy's header (128 bytes) and zip's two entries with its name.
ARRAY_BYTES = 300
# A document's id of some 16 characters, quoted in a list, in the four bytes a character that
# numpy takes for text.
ID_BYTES = 80
FLOAT32 = 4
# A line of a run: ids of query and document of some ten characters each, a rank, up to 19 digits
# of a score, and the method's name.
RUN_LINE_BYTES = 65
# A record of answers in JSON: its keys and the query's id; a document's id and its score; an
# answer's keys and faults, and its passages' places; two characters for each token written.
RECORD_BYTES = 130
RECORD_DOCUMENT_BYTES = 35
ANSWER_BYTES = 170
PLACE_BYTES = 4
TOKEN_BYTES = 2


@dataclass(frozen=True)
class Shape:
    """A decoder's layers and the query heads of each."""

    layers: int
    heads: int


@dataclass(frozen=True)
class Speed:
    """Tokens (or documents) a second, and where the number is from: ``measured``, ``assumed``."""

    per_second: float
    basis: str


@dataclass(frozen=True)
class Known:
    """What is known beyond the config; everything may be empty.

    Attributes:
        documents: ``{collection: documents}`` of collections that are there.
        queries: ``{set: queries}`` of sets that were sampled.
        document_tokens: ``{set: mean tokens of a document}`` of sets that were read.
        corpus_tokens: ``{collection: mean tokens of a document}`` of the user's folders, guessed
            from the characters of their first documents.
        shapes: ``{model: shape}`` of models that are there.
        weights: ``{model or encoder: gigabytes}`` of those that are there.
        archives: ``{file: gigabytes}`` of those that were fetched.
        speeds: measured, in tokens a second, by what was done: ``("reading", model)``, the same of
            ``aligned`` (with an adapter) and of ``training`` (as many tokens as
            `headrank.workflow.estimate.plan.Plan.work` counts), ``("generation", model, method)``
            (of prompts, with all that is written), and ``("indexing",)`` in documents.
    """

    documents: Mapping[str, int] = field(default_factory=dict)
    queries: Mapping[str, int] = field(default_factory=dict)
    document_tokens: Mapping[str, float] = field(default_factory=dict)
    corpus_tokens: Mapping[str, float] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    archives: Mapping[str, float] = field(default_factory=dict)
    speeds: Mapping[tuple[str, ...], Speed] = field(default_factory=dict)


MINING = "pairs of"
"""What the row of a recipe's mining begins with."""


@dataclass(frozen=True)
class Stage:
    """One row: the work of a stage for one model (``-`` where no model has a say).

    NaN is unknown; 0 is nothing, or too little to count. ``gigabytes`` stay on disk, ``fetched``
    ones come over the network. ``per_second`` is the speed that the hours follow from, in tokens
    (of indexes, in documents). ``basis`` says where speed, or else size, is from.
    """

    stage: str
    model: str
    jobs: int
    queries: float = 0
    tokens: float = 0.0
    gigabytes: float = 0.0
    hours: float = 0.0
    per_second: float = 0.0
    basis: str = ""
    fetched: float = 0.0

    def at(self, speed: Speed, work: float) -> Stage:
        """Return the stage with the hours of so many tokens (or documents) at a speed."""
        hours = work / speed.per_second / 3600 if work else 0.0
        return replace(self, hours=hours, **vars(speed))


def list_bytes(
    shape: Shape,
    documents: int,
    tokens: float,
    *,
    calibrate: bool,
    keep_tokens: bool,
    max_logits: bool = False,
) -> float:
    """Return the size of one list's reading as `headrank.reading.readings.save_readings` writes it.

    float32 ``[layers, heads, docs]`` for the query, as much again for the calibration, with
    it ``[tokens]`` of contrast and, if kept, ``[layers, heads, tokens]``; as the query's for
    largest logits; int64 spans ``[docs, 2]``; ids and file headers.

    Args:
        documents: candidates of the list.
        tokens: tokens of all its documents.
    """
    mass = FLOAT32 * shape.layers * shape.heads
    arrays = [mass * documents, 2 * 8 * documents]
    if calibrate:
        arrays += [mass * documents, FLOAT32 * tokens]
    if calibrate and keep_tokens:
        arrays.append(mass * tokens)
    if max_logits:
        arrays.append(mass * documents)
    return sum(arrays) + len(arrays) * ARRAY_BYTES + ID_BYTES * documents


def run_bytes(documents: int) -> int:
    """Return the size of one query's lines in a run."""
    return RUN_LINE_BYTES * documents


def record_bytes(documents: int, answers: int, places: int, new_tokens: int) -> int:
    """Return the size of one list's record as `headrank.baselines.generation.records` writes it.

    Args:
        documents: candidates of the list.
        answers: what was written, one a pass; none for query likelihood.
        places: passages that all answers put in order.
        new_tokens: written at most, in all answers.
    """
    size = RECORD_BYTES + RECORD_DOCUMENT_BYTES * documents
    return size + ANSWER_BYTES * answers + PLACE_BYTES * places + TOKEN_BYTES * new_tokens
