"""One record a list, of a job that a kill may stop: lists that are done are not made again."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from headrank.data.candidates import CandidateList
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.io.progress import follow
from headrank.io.record_checkpoint import RecordCheckpoint

logger = logging.getLogger(__name__)
SCORES = ("query", "documents", "scores")
"""Fields of a record of scores."""
EVERY = 1.0
"""Seconds between two writes: what a kill costs at most, besides the list under way."""


def resumed(checkpoint: RecordCheckpoint, lists: Sequence[CandidateList]) -> dict[str, dict]:
    """Return ``{query: record}`` of the lists that a checkpoint holds.

    Raises:
        HeadRankError: a checkpoint that is damaged or holds another list.
    """
    done = checkpoint.resume()
    for candidates in lists:
        known = done.get(candidates.query_id)
        if known is not None and known["documents"] != list(candidates.doc_ids):
            raise HeadRankError(
                f"{checkpoint.path}: query {candidates.query_id} has other documents than its "
                f"list; {checkpoint.remedy}"
            )
    if done:
        logger.info("%d of %d lists were done before", len(done), len(lists))
    return done


def list_records(
    lists: Sequence[CandidateList],
    make: Callable[[Sequence[CandidateList]], Iterable[dict]],
    checkpoint: RecordCheckpoint | None,
    label: str | None = None,
) -> Iterator[dict]:
    """Yield the record of each list, in order; those of the checkpoint without making them.

    Args:
        make: yields the record of each of some lists, in their order, one by one. No record may
            depend on the other lists.
        checkpoint: None makes every list.
        label: of the progress that is shown; None shows none.

    Raises:
        HeadRankError: as `resumed`.
    """
    done = {} if checkpoint is None else resumed(checkpoint, lists)
    rest = [candidates for candidates in lists if candidates.query_id not in done]
    shown = {"desc": label or "", "unit": "query", "disable": label is None}
    fresh = iter(follow(make(rest), total=len(lists), initial=len(done), **shown))
    waiting: list[dict] = []
    last = time.monotonic()
    for candidates in lists:
        if candidates.query_id in done:
            yield done[candidates.query_id]
            continue
        # Through JSON, as a resumed record comes.
        waiting.append(json.loads(json.dumps(next(fresh))))
        made = waiting[-1]
        if checkpoint is not None and time.monotonic() - last >= EVERY:
            checkpoint.append(waiting)
            waiting, last = [], time.monotonic()
        yield made
    next(fresh, None)  # the progress tells its end


def score_record(candidates: CandidateList, scores: Sequence[float]) -> dict:
    """Return the record of a list's scores, ``[docs]`` in its order.

    Raises:
        HeadRankError: a score is NaN or infinite.
    """
    pairs = dict(zip(candidates.doc_ids, scores, strict=True))
    Run.from_scores({candidates.query_id: pairs})
    return dict(zip(SCORES, (candidates.query_id, list(pairs), list(pairs.values())), strict=True))


def scored_run(records: Iterable[Mapping], name: str) -> Run:
    """Return the run of records of scores."""
    return Run.from_scores(
        {one["query"]: dict(zip(one["documents"], one["scores"], strict=True)) for one in records},
        name,
    )
