"""Mining pairs with the model itself: margins of the unaligned heads on the training lists."""

from __future__ import annotations

import numpy as np

from headrank.align.forward import HeadReader
from headrank.align.lists import Judged
from headrank.align.pairs import PairSet, margins_decide, mine_pairs
from headrank.data.candidates import CandidateList, arrange
from headrank.io.progress import follow
from headrank.options.pairs import PairOptions
from headrank.reading.layout import check_heads


def mine_with_model(
    reader: HeadReader,
    training: Judged,
    options: PairOptions,
    seed: int,
    progress: bool = True,
) -> PairSet:
    """Return the hard pairs of training lists, read at most once in a seeded shuffled order.

    Raises:
        HeadRankError: heads of another model or layout, or no list with two grades.
    """
    model = reader.model
    reader.heads.check_model(model.layers, model.heads, model.digest)
    check_heads(reader.heads, reader.layout)

    def read(candidates: CandidateList) -> tuple[str, tuple[str, ...], np.ndarray | None]:
        grades = np.maximum(training.qrels.grades_of(candidates.query_id, candidates.doc_ids), 0)
        if not (options.margins or margins_decide(grades, options)):
            moved = arrange(candidates, "shuffled", seed)
            return moved.query_id, moved.doc_ids, None
        moved, values = reader.shuffled_relevance(candidates, seed)
        return moved.query_id, moved.doc_ids, values.cpu().numpy()

    bar = follow(training.lists, desc="mining pairs", unit="query", disable=not progress)
    return mine_pairs(
        (read(candidates) for candidates in bar),
        training.qrels.grades,
        options,
        seed,
        keys={one.query_id: one.key for one in training.lists},
    )
