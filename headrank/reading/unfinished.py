"""Readings of a job under way: one that was killed goes on behind the last that are on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from headrank.data.candidates import CandidateList, lists_digest
from headrank.errors import HeadRankError
from headrank.reading.readings import ListReading, ReadingFile, save_readings, settings_of
from headrank.reading.recording import ReadOptions

logger = logging.getLogger(__name__)
EVERY = 60.0
"""Seconds between two files: what a kill costs at most, besides the list under way."""


class Unfinished:
    """The readings of a job's first lists, in files of the form of a finished one.

    They lie in a folder whose name tells all that determines the numbers: those of other settings,
    texts or code never meet. Lists that are read side by side have no place here: in other company
    they may round otherwise.

    Args:
        folder: of this job, or of several.
        provenance: of its readings.
        lists: that it reads, in their order.
        options: what each reading holds; provenance does not tell.
        model: what decides the numbers beside the lists: ``state_of`` and ``tokenizer_digest``.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        provenance: Mapping,
        lists: Sequence[CandidateList],
        options: ReadOptions,
        model: Mapping,
    ) -> None:
        self.job, self.provenance, self.lists = Path(folder), provenance, lists
        parts = [settings_of(provenance), asdict(options), dict(model)]
        # Another number of threads changes last digits.
        parts += [torch.get_num_threads(), lists_digest(lists)]
        told = json.dumps(parts, sort_keys=True)
        self.folder = self.job / hashlib.sha256(told.encode()).hexdigest()[:16]

    def load(self) -> list[ListReading]:
        """Return the readings that are on disk.

        Raises:
            HeadRankError: a damaged file, or one of other lists.
        """
        found: list[ListReading] = []
        for path in sorted(self.folder.glob("*.npz")):
            part = ReadingFile(path)
            found += part.lists(tokens=part.meta["tokens"])
        names = [reading.query_id for reading in found]
        if names != [candidates.query_id for candidates in self.lists[: len(names)]]:
            raise HeadRankError(
                f"{self.folder}: a file of unfinished readings is lost; delete the folder to read "
                "its lists again"
            )
        if found:
            logger.info("%d of %d lists were read before", len(found), len(self.lists))
        return found

    def kept(self, readings: Iterable[ListReading], done: int = 0) -> Iterator[ListReading]:
        """Yield the readings behind the first ``done``; put them on disk from time to time."""
        waiting: list[ListReading] = []
        last = time.monotonic()
        for reading in readings:
            waiting.append(reading)
            if time.monotonic() - last >= EVERY:
                save_readings(self.folder / f"{done:08d}.npz", waiting, self.provenance)
                done += len(waiting)
                waiting, last = [], time.monotonic()
            yield reading

    def remove(self, others: bool = True) -> None:
        """Delete what is there of a finished job.

        Args:
            others: and of other settings: all that the folder holds.
        """
        shutil.rmtree(self.job if others else self.folder, ignore_errors=True)
