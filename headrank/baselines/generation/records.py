"""What a generative method did, list by list, in files of JSON lines that a kill cannot spoil.

The first line of a file holds the settings, each other line one list: its documents,
scores, costs, and every answer as text with its faults. A job under way appends to a
checkpoint of the same form, whose name depends on every setting; resumed, it gives the
same bytes as one that was never stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from headrank.baselines.generation.answers import Generated
from headrank.data.candidates import CandidateList
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.io.files import read_jsonl, write_jsonl
from headrank.io.progress import follow

_FIELDS = ("query", "documents", "scores", "passes", "prompt_tokens", "new_tokens", "answers")
logger = logging.getLogger(__name__)


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
    return dict(zip(_FIELDS, values, strict=True))


class Checkpoint:
    """The records of a job under way: one line a list, on disk as soon as the list is done."""

    def __init__(self, folder: str | os.PathLike, settings: Mapping) -> None:
        """Name the file after the settings: those of another kind never meet.

        Args:
            folder: holds the checkpoints of one job.
            settings: everything that decides the answers, as JSON.
        """
        self.settings = json.loads(json.dumps(settings))
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()
        self.path = Path(folder) / f"{digest[:16]}.jsonl"

    def resume(self) -> dict[str, dict]:
        """Return ``{query: record}`` of the lists that are done; start the file if there is none.

        A last line without its end is what a kill leaves: it is dropped, and its list is
        generated again.

        Raises:
            HeadRankError: any other damage.
        """
        if self.path.is_file():
            data = self.path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                logger.warning("%s: dropped a last line that was cut", self.path)
                os.truncate(self.path, whole)
            if whole:
                return self._load()
        write_jsonl(self.path, [{"settings": self.settings}])
        return {}

    def _load(self) -> dict[str, dict]:
        try:
            settings, records = load_records(self.path)
        except HeadRankError as error:
            raise HeadRankError(f"{error}; delete it to generate its lists anew") from None
        if settings != self.settings:
            raise HeadRankError(
                f"{self.path}: holds other settings than its name says; delete it to generate its "
                "lists anew"
            )
        return {found["query"]: found for found in records}

    def append(self, made: Mapping) -> None:
        """Add one record; it is on disk when this returns."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(_line(made))
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Delete the checkpoint of a finished job, and its folder if that holds no other."""
        self.path.unlink(missing_ok=True)
        if not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()


def _line(value: Mapping) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def generate(
    rank: Callable[[Sequence[CandidateList]], Sequence[Generated]],
    lists: Sequence[CandidateList],
    checkpoint: Checkpoint,
    *,
    batch: int = 1,
    label: str = "generate",
) -> list[dict]:
    """Return the record of each list, in order; those of the checkpoint are not made again.

    Args:
        rank: asks about some lists side by side.
        batch: lists that are asked together. A batch is always of the same lists: one that a
            kill cut is asked whole again, since in other company rounding could differ.

    Raises:
        HeadRankError: a checkpoint that is damaged or holds another list.
    """
    done = checkpoint.resume()
    for candidates in lists:
        known = done.get(candidates.query_id)
        if known is not None and known["documents"] != list(candidates.doc_ids):
            raise HeadRankError(
                f"{checkpoint.path}: query {candidates.query_id} has other documents than its "
                "list; delete it to generate its lists anew"
            )
    with follow(total=len(lists), desc=label, unit="query") as progress:
        for start in range(0, len(lists), batch):
            chosen = lists[start : start + batch]
            if any(candidates.query_id not in done for candidates in chosen):
                for candidates, made in zip(chosen, rank(chosen), strict=True):
                    if candidates.query_id not in done:
                        # Through JSON, as a resumed record comes.
                        found = json.loads(_line(record(candidates, made)))
                        checkpoint.append(found)
                        done[candidates.query_id] = found
            progress.update(len(chosen))
    return [done[candidates.query_id] for candidates in lists]


def save_records(path: str | os.PathLike, settings: Mapping, records: Sequence[Mapping]) -> None:
    """Write the settings and one record a line, whole or not at all."""
    write_jsonl(path, [{"settings": settings}, *records])


def load_records(path: str | os.PathLike) -> tuple[dict, list[dict]]:
    """Return settings and records of a file.

    Raises:
        HeadRankError: a line that is not JSON, no settings, a record without a field, or a
            query twice; the message names the line.
    """
    lines: Iterator[tuple[int, dict]] = read_jsonl(path)
    _, first = next(lines, (0, {}))
    if not isinstance(first.get("settings"), dict):
        raise HeadRankError(f"{path}: the first line holds no settings")
    records: dict[str, dict] = {}
    for number, found in lines:
        absent = [name for name in _FIELDS if name not in found]
        if absent:
            raise HeadRankError(f"{path}:{number}: the record has no {absent[0]}")
        if found["query"] in records:
            raise HeadRankError(f"{path}:{number}: query {found['query']} is there twice")
        records[found["query"]] = found
    return first["settings"], list(records.values())


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
