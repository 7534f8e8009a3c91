"""What a generative method did, list by list, in files of JSON lines that a kill cannot spoil.

The first line of a file holds the settings, each other line one list: its documents,
scores, costs, and every answer as text with its faults. A job under way appends to a
checkpoint of the same form.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from headrank.baselines.generation.answers import Generated
from headrank.data.candidates import CandidateList
from headrank.data.list_records import resumed
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.io import record_checkpoint
from headrank.io.files import write_jsonl
from headrank.io.progress import follow
from headrank.io.record_checkpoint import RecordCheckpoint

FIELDS = ("query", "documents", "scores", "passes", "prompt_tokens", "new_tokens", "answers")


def record(candidates: CandidateList, made: Generated) -> dict:
    """Return the record of one list, as plain JSON.

    Raises:
        HeadRankError: a score that is not finite.
    """
    scores = made.scores.tolist()
    for document, score in zip(candidates.doc_ids, scores, strict=True):
        if not math.isfinite(score):
            raise HeadRankError(
                f"query {candidates.query_id}, document {document}: score is {score}; fetch or "
                "convert the model again, or use another dtype"
            )
    answers = [
        asdict(answer)
        | {
            "order": list(answer.order),
            "repaired": answer.repaired,
            "well_formed": answer.well_formed,
        }
        for answer in made.answers
    ]
    values = (
        candidates.query_id,
        list(candidates.doc_ids),
        scores,
        made.passes,
        made.prompt_tokens,
        made.new_tokens,
        answers,
    )
    return dict(zip(FIELDS, values, strict=True))


def generate(
    rank: Callable[[Sequence[CandidateList]], Sequence[Generated]],
    lists: Sequence[CandidateList],
    checkpoint: RecordCheckpoint,
    *,
    batch: int = 1,
    label: str = "generate",
) -> list[dict]:
    """Return the record of each list, in order; those of the checkpoint are not made again.

    Args:
        rank: asks about some lists side by side.
        checkpoint: of records with `FIELDS`.
        batch: lists that are asked together. A batch is always of the same lists: one that a
            kill cut is asked whole again, since in other company rounding could differ.

    Raises:
        HeadRankError: a checkpoint that is damaged or holds another list.
    """
    done = resumed(checkpoint, lists)
    with follow(total=len(lists), initial=len(done), desc=label, unit="query") as progress:
        for start in range(0, len(lists), batch):
            chosen = lists[start : start + batch]
            if any(candidates.query_id not in done for candidates in chosen):
                for candidates, made in zip(chosen, rank(chosen), strict=True):
                    if candidates.query_id not in done:
                        # Through JSON, as a resumed record comes.
                        found = json.loads(json.dumps(record(candidates, made)))
                        checkpoint.append([found])
                        done[candidates.query_id] = found
                        progress.update(1)
    return [done[candidates.query_id] for candidates in lists]


def save_records(path: str | os.PathLike, settings: Mapping, records: Sequence[Mapping]) -> None:
    """Write the settings and one record a line, whole or not at all."""
    write_jsonl(path, [{"settings": settings}, *records])


def load_records(path: str | os.PathLike) -> tuple[dict, list[dict]]:
    """Return settings and records of a file.

    Raises:
        HeadRankError: as `headrank.io.record_checkpoint.load_records`.
    """
    return record_checkpoint.load_records(path, FIELDS)


def records_run(paths: Sequence[str | os.PathLike], name: str) -> Run:
    """Return the run of a method from the shards of its records.

    Raises:
        HeadRankError: a damaged file, or a query in two of them.
    """
    scores: dict[str, dict[str, float]] = {}
    for path in paths:
        for found in load_records(path)[1]:
            if found["query"] in scores:
                raise HeadRankError(
                    f"{path}: query {found['query']} stands in another shard too; delete the "
                    "folder and generate again"
                )
            scores[found["query"]] = dict(zip(found["documents"], found["scores"], strict=True))
    return Run.from_scores(scores, name)
