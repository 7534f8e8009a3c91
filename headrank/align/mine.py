"""Mining pairs with the model itself: margins of the unaligned heads on the training lists."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from headrank.align.forward import HeadReader
from headrank.align.lists import Judged
from headrank.align.pairs import PairSet, margins_decide, mine_pairs
from headrank.data.candidates import CandidateList, arrange
from headrank.data.list_records import SCORES, list_records, score_record
from headrank.io.record_checkpoint import RecordCheckpoint
from headrank.options.pairs import PairOptions
from headrank.reading.job_settings import job_settings
from headrank.reading.layout import check_heads


def mining_checkpoint(
    reader: HeadReader,
    lists: Sequence[CandidateList],
    seed: int,
    folder: str | os.PathLike,
    code: str,
) -> RecordCheckpoint:
    """Return the checkpoint of the readings that pairs of some lists are mined from.

    Args:
        folder: of the job's checkpoints.
        code: version or digest of the code that reads.
    """
    decided = job_settings(reader.model, None, reader.builder, lists, code) | {
        "heads": reader.heads.pairs,
        "prompt": reader.builder.options.described(),
        "seed": seed,
    }
    return RecordCheckpoint(folder, decided, SCORES)


def mine_with_model(
    reader: HeadReader,
    training: Judged,
    options: PairOptions,
    seed: int,
    progress: bool = True,
    checkpoint: RecordCheckpoint | None = None,
) -> PairSet:
    """Return the hard pairs of training lists, read at most once in a seeded shuffled order.

    Args:
        checkpoint: of `mining_checkpoint`; a killed job goes on behind the lists that it read. It
            is left as it is.

    Raises:
        HeadRankError: heads of another model or layout, no list with two grades, a relevance that
            is not finite, or as `headrank.data.list_records.resumed`.
    """
    model = reader.model
    reader.heads.check_model(model.layers, model.heads, model.digest)
    check_heads(reader.heads, reader.layout)

    def to_read(candidates: CandidateList) -> bool:
        grades = np.maximum(training.qrels.grades_of(candidates.query_id, candidates.doc_ids), 0)
        return options.margins or margins_decide(grades, options)

    def made(some: Sequence[CandidateList]) -> Iterator[dict]:
        for candidates in some:
            moved, values = reader.shuffled_relevance(candidates, seed)
            found = dict(zip(moved.doc_ids, values.tolist(), strict=True))
            yield score_record(candidates, [found[document] for document in candidates.doc_ids])

    needed = [candidates for candidates in training.lists if to_read(candidates)]
    read = {candidates.query_id for candidates in needed}
    label = "mining pairs" if progress and needed else None
    records = list_records(needed, made, checkpoint if needed else None, label)

    def margins(candidates: CandidateList) -> tuple[str, tuple[str, ...], np.ndarray | None]:
        moved, values = arrange(candidates, "shuffled", seed), None
        if candidates.query_id in read:
            one = next(records)
            found = dict(zip(one["documents"], one["scores"], strict=True))
            values = np.array([found[document] for document in moved.doc_ids], dtype=np.float32)
        return moved.query_id, moved.doc_ids, values

    return mine_pairs(
        (margins(candidates) for candidates in training.lists),
        training.qrels.grades,
        options,
        seed,
        keys={one.query_id: one.key for one in training.lists},
    )
