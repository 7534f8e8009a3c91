"""Rankings of many lists that a kill may stop: lists that are done are not read again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from headrank.data.candidates import CandidateList
from headrank.data.list_records import SCORES, list_records, score_record
from headrank.errors import HeadRankError
from headrank.io.record_checkpoint import RecordCheckpoint
from headrank.ranker.ranker import HeadRanker
from headrank.ranker.ranking import RankedPassage, ranked
from headrank.reading.job_settings import job_settings

_FIELDS = (*SCORES, "sizes")


def ranking_checkpoint(
    ranker: HeadRanker, lists: Sequence[CandidateList], folder: str | os.PathLike, code: str
) -> RecordCheckpoint:
    """Return the checkpoint of a job that ranks these lists, one by one.

    Args:
        folder: of the job's checkpoints.
        code: version or digest of the code that ranks.

    Raises:
        HeadRankError: the ranker has a store: what others put there may round otherwise.
    """
    if ranker.store is not None:
        raise HeadRankError(
            "a ranker with a store has no checkpoint of rankings: its documents are kept, and what "
            "others stored may round otherwise; leave out one of the two"
        )
    decided = job_settings(ranker.model, ranker.adapter, ranker.builder, lists, code) | {
        "heads": None if ranker.heads is None else ranker.heads.pairs,
        "options": asdict(ranker.options),
    }
    return RecordCheckpoint(folder, decided, _FIELDS)


def rerank_resumed(
    ranker: HeadRanker,
    lists: Sequence[CandidateList],
    checkpoint: RecordCheckpoint,
    label: str | None = None,
) -> Iterator[list[RankedPassage]]:
    """Yield the ranking of each list, in their order; those of the checkpoint without reading.

    Each list is read alone: in other company it may round otherwise.

    Args:
        checkpoint: of `ranking_checkpoint`, for the same ranker and lists.
        label: of the progress that is shown; None shows none.

    Raises:
        HeadRankError: as `HeadRanker.rerank_lists` and `headrank.data.list_records.resumed`.
    """

    def made(some: Sequence[CandidateList]) -> Iterator[dict]:
        for candidates, ranking in zip(some, ranker.rerank_lists(some), strict=True):
            placed = sorted(ranking, key=lambda passage: passage.index)
            sizes = [(passage.tokens, passage.kept_tokens) for passage in placed]
            yield score_record(candidates, [p.score for p in placed]) | {"sizes": sizes}

    found = list_records(lists, made, checkpoint, label)
    for candidates, one in zip(lists, found, strict=True):
        sizes = dict(zip(one["documents"], map(tuple, one["sizes"]), strict=True))
        yield ranked(candidates, np.array(one["scores"]), sizes)
