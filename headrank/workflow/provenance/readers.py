"""Which processes read a model for a run, as the files that it was folded from tell."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from headrank.baselines.generation.records import load_records
from headrank.errors import HeadRankError
from headrank.io.arrays import ArrayFile
from headrank.io.files import read_json, sha256
from headrank.reading.readings import cut_summary
from headrank.workflow.provenance.process import READER_SUFFIX

READER = ("headrank", "code", "git", "device", "gpu", "versions")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Part:
    """A file that a run was folded from.

    Attributes:
        sha256: of its bytes.
        reader: as `reader_of` returns it.
        cut: as `cut_of` returns it.
    """

    sha256: str
    reader: Mapping | None = None
    cut: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, path: str | os.PathLike) -> Part:
        """Return what a file tells.

        Raises:
            HeadRankError: as `reader_of`.
        """
        return cls(sha256(path), reader_of(path), cut_of(path))


def reader_of(path: str | os.PathLike) -> dict | None:
    """Return what a reading, a record of answers or a card of a reader tells of its process.

    None for other files. Keys are those of `READER` that are known.

    Raises:
        HeadRankError: the file is damaged, or a reading without provenance.
    """
    suffix = Path(path).suffix
    if suffix == ".npz":
        made = _reading(path).meta.get("provenance")
        if made is None:
            raise HeadRankError(f"{path}: no provenance in the reading; delete it and read again")
    elif suffix == ".jsonl":
        made, _ = load_records(path)
    elif Path(path).name.endswith(READER_SUFFIX):
        made = read_json(path)
    else:
        return None
    return {key: made[key] for key in READER if key in made}


def cut_of(path: str | os.PathLike) -> dict[str, int]:
    """Return what a reading or a card of a reader tells of documents that were cut.

    ``documents`` of all lists, how many were ``cut``, and ``tokens`` and ``kept_tokens`` of
    these; nothing for other files.

    Raises:
        HeadRankError: the file is damaged.
    """
    if Path(path).suffix == ".npz":
        return cut_summary([_reading(path)])
    if Path(path).name.endswith(READER_SUFFIX):
        return read_json(path).get("documents cut", {})
    return {}


def distinct(values: Iterable[Value | None]) -> list[Value]:
    """Return the values that differ, in order, without None; a run of many shards has few."""
    found: list[Value] = []
    for value in values:
        if value and value not in found:
            found.append(value)
    return found


def _reading(path: str | os.PathLike) -> ArrayFile:
    return ArrayFile(path, "reading", "read again")
