"""Records of a job under way, in a file of JSON lines that a kill cannot spoil.

The first line of a file holds the settings, each other line the record of one list. The name
depends on every setting; resumed, a job gives the same bytes as one that was never stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from headrank.errors import HeadRankError
from headrank.io.files import read_jsonl, write_jsonl

logger = logging.getLogger(__name__)


class RecordCheckpoint:
    """The records of a job under way, on disk as soon as they are appended."""

    def __init__(self, folder: str | os.PathLike, settings: Mapping, fields: Sequence[str]) -> None:
        """Name the file after the settings: those of another kind never meet.

        Args:
            folder: holds the checkpoints of one job.
            settings: everything that decides the records, as JSON.
            fields: that each record has, ``query`` and ``documents`` among them.
        """
        self.settings, self.fields = json.loads(json.dumps(settings)), fields
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()
        self.path = Path(folder) / f"{digest[:16]}.jsonl"

    def resume(self) -> dict[str, dict]:
        """Return ``{query: record}`` of the lists that are done; start the file if there is none.

        A last line without its end is what a kill leaves: it is dropped, and its list is
        made again.

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
            settings, records = load_records(self.path, self.fields)
        except HeadRankError as error:
            raise HeadRankError(f"{error}; {self.remedy}") from None
        if settings != self.settings:
            raise HeadRankError(
                f"{self.path}: holds other settings than its name says; {self.remedy}"
            )
        return {found["query"]: found for found in records}

    @property
    def remedy(self) -> str:
        """Return what a message about damage ends with."""
        return "delete it to make its lists anew"

    def append(self, records: Sequence[Mapping]) -> None:
        """Add records; they are on disk when this returns."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(made, ensure_ascii=False) + "\n" for made in records)
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Delete the checkpoint of a finished job, and its folder if that holds no other."""
        self.path.unlink(missing_ok=True)
        if not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()


def load_records(path: str | os.PathLike, fields: Sequence[str]) -> tuple[dict, list[dict]]:
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
        absent = [name for name in fields if name not in found]
        if absent:
            raise HeadRankError(f"{path}:{number}: the record has no {absent[0]}")
        if found["query"] in records:
            raise HeadRankError(f"{path}:{number}: query {found['query']} is there twice")
        records[found["query"]] = found
    return first["settings"], list(records.values())
