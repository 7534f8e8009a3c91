"""Readings of a block layout put in a prompt order: nothing is read again.

Such a list is read once, in the first stage's order, and no order changes its scores. Where
something is followed along the prompt, its documents take the places that a joint prompt of the
order would give them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from headrank.data.candidates import prompt_places
from headrank.reading.layout import layout_of
from headrank.reading.readings import ListReading, ReadingFile, load_shards


class ArrangedFile:
    """A file of readings whose lists stand in an order that they were not read in.

    It has of ``ReadingFile`` what folds and studies ask for: ``path``, ``meta``, length and lists.
    """

    def __init__(self, file: ReadingFile, order: str, seed: int) -> None:
        self._file, self._order, self._seed = file, order, seed
        self.path = file.path
        entries = []
        for entry in file.meta["queries"]:
            places = prompt_places(entry["query_id"], len(entry["doc_ids"]), order, seed)
            entries.append(entry | {"doc_ids": [entry["doc_ids"][i] for i in places]})
        self.meta = file.meta | {"queries": entries}

    def __len__(self) -> int:
        return len(self._file)

    def __iter__(self) -> Iterator[ListReading]:
        return self.lists()

    def lists(self, tokens: bool = False) -> Iterator[ListReading]:
        """Yield the readings in their order; as ``ReadingFile.lists``."""
        for reading in self._file.lists(tokens=tokens):
            yield moved(reading, self._order, self._seed)


def moved(reading: ListReading, order: str, seed: int) -> ListReading:
    """Return a reading of the first stage's order in another one; its arrays of tokens stay."""
    places = prompt_places(reading.query_id, len(reading.doc_ids), order, seed)
    per_document = {
        name: values[..., places]
        for name in ("query", "calibration", "distance", "max_logits")
        if (values := getattr(reading, name)) is not None
    }
    spans = None if reading.spans is None else reading.spans[places]
    doc_ids = tuple(reading.doc_ids[i] for i in places)
    return replace(reading, doc_ids=doc_ids, spans=spans, **per_document)


def load_in_order(
    paths: Sequence[str | os.PathLike], order: str, seed: int
) -> list[ReadingFile | ArrangedFile]:
    """Return the shards of one query set in a prompt order.

    Joint readings are of that order, or they are not what was asked for; those of a block layout
    are put into it.

    Raises:
        HeadRankError: as ``load_shards``.
    """
    shards = load_shards(paths)
    if not shards or layout_of(shards[0].meta["provenance"]["prompt"]) == "joint":
        return shards
    return [ArrangedFile(shard, order, seed) for shard in shards]
