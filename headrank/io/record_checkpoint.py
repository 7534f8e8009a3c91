"""Records of a job under way, in a file of JSON lines that a kill cannot spoil.

The first line of a file holds the settings, each other line the record of one list. The name
depends on every setting; resumed, a job gives the same bytes as one that was never stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from headrank.errors import HeadRankError
from headrank.io.files import read_jsonl, told, write_jsonl

logger = logging.getLogger(__name__)
SEAL = "digest"


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
        self._file: TextIO | None = None

    def resume(self) -> dict[str, dict]:
        """Return ``{query: record}`` of the lists that are done; start the file if there is none.

        A last line without its end is what a kill leaves: it is dropped, and its list is
        made again. The file is this process's until `close`, or until it ends.

        Raises:
            HeadRankError: any other damage, or another process has the file.
        """
        if not self.path.is_file():
            write_jsonl(self.path, [{"settings": self.settings}])
        self._file = open(self.path, "a", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeadRankError(
                f"{self.path}: another process works behind this checkpoint; wait for it or stop it"
            ) from None
        except OSError as error:  # some network file systems have no locks
            logger.warning("%s: not locked (%s); start no second process", self.path, error)
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            logger.warning("%s: dropped a last line that was cut", self.path)
            os.truncate(self.path, whole)
        if not whole:  # the first line, too
            self.remove(folder=False)
            return self.resume()
        return self._load()

    def _load(self) -> dict[str, dict]:
        try:
            settings, records = load_records(self.path, self.fields, sealed=True)
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
        """Add records; they are on disk when this returns. `resume` comes before it.

        Raises:
            HeadRankError: the disk is full.
        """
        assert self._file is not None
        with told(self.path):
            self._file.writelines(
                json.dumps({**made, SEAL: _seal(made)}, ensure_ascii=False) + "\n"
                for made in records
            )
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let another process have the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self, folder: bool = True) -> None:
        """Delete the checkpoint of a finished job.

        Args:
            folder: and its folder, if that holds no other.
        """
        self.path.unlink(missing_ok=True)
        self.close()
        if folder:
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()


def _seal(made: Mapping) -> str:
    """Return a digest of a record, by which a damaged one is known."""
    return hashlib.sha256(json.dumps(made, ensure_ascii=False).encode()).hexdigest()[:16]


def load_records(
    path: str | os.PathLike, fields: Sequence[str], sealed: bool = False
) -> tuple[dict, list[dict]]:
    """Return settings and records of a file.

    Args:
        sealed: records carry a digest, as those of a checkpoint.

    Raises:
        HeadRankError: a line that is not JSON, no settings, a record without a field or unlike its
            digest, or a query twice; the message names the line.
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
        if sealed and found.pop(SEAL, None) != _seal(found):
            raise HeadRankError(f"{path}:{number}: the record is damaged")
        if found["query"] in records:
            raise HeadRankError(f"{path}:{number}: query {found['query']} is there twice")
        records[found["query"]] = found
    return first["settings"], list(records.values())
