"""Readings: the per-head document scores of one prefill, kept so that ranking is a fold.

A reading holds, for each query, ``[layers, heads, docs]`` for the query's suffix and for
the calibration's. ICR, QRHead and CoRe drop outlier tokens *after* they sum over their
heads, which document sums cannot give; so a reading may also keep the calibrated mass of
every document token and head (``tokens``), and always keeps it summed over all heads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headrank.errors import HeadRankError, brief
from headrank.io.arrays import ArrayFile, save_arrays
from headrank.reading.sliding_window import KEY, Windows, out_of_sight, unseen

if TYPE_CHECKING:
    from headrank.data.heads import HeadSet

_FORMAT = 1
_ARRAYS = ("query", "calibration", "spans", "contrast", "tokens", "distance", "max_logits")


@dataclass(frozen=True)
class ListReading:
    """What one prefill tells of one candidate list.

    Attributes:
        doc_ids: in prompt order.
        query: ``[layers, heads, docs]``: sum over a document's tokens of the mean attention
            that the query's rows pay them (float32).
        calibration: the same for the content-free query; None if it was not read.
        spans: ``[docs, 2]``: each document's tokens within the token arrays.
        contrast: ``[tokens]``: query minus calibration mass of each document token, summed
            over all heads.
        tokens: ``[layers, heads, tokens]``: the same for each head; None if not kept.
        max_logits: ``[layers, heads, docs]``: for each document, the mean over the query's rows of
            the largest logit (before the softmax) of its tokens; None if not kept.
        windows: of each layer, None for full attention; None if every layer is full.
        distance: ``[docs]``: tokens from a document's end to the first row read; None if no
            layer slides (see :mod:`headrank.reading.sliding_window`).
        cut: ``{doc_id: (tokens, tokens that were read)}`` of documents that were cut; empty also
            in files of versions that did not note it.
    """

    query_id: str
    doc_ids: tuple[str, ...]
    query: np.ndarray
    calibration: np.ndarray | None = None
    spans: np.ndarray | None = None
    contrast: np.ndarray | None = None
    tokens: np.ndarray | None = None
    max_logits: np.ndarray | None = None
    windows: Windows | None = None
    distance: np.ndarray | None = None
    cut: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def check(self, where: str) -> None:
        """Refuse values that no softmax gives.

        Raises:
            HeadRankError: NaN, infinity or negative mass.
        """
        for name in ("query", "calibration"):
            values = getattr(self, name)
            if values is not None and not (np.isfinite(values).all() and (values >= 0).all()):
                raise HeadRankError(
                    f"{where}: query {brief(self.query_id)} has NaN or negative attention in "
                    f"{name!r}; check the model's weights, or read with dtype float32"
                )
        # A document out of a sliding window has -inf.
        if self.max_logits is not None and not (self.max_logits < np.inf).all():
            raise HeadRankError(
                f"{where}: query {brief(self.query_id)} has NaN or infinity in 'max_logits'; check "
                "the model's weights, or read with dtype float32"
            )

    def unseen(self) -> np.ndarray | None:
        """Return ``[layers, heads, docs]``, True where a document lies wholly out of the window.

        None if the model has no window.
        """
        return unseen(self.query, self.windows, self.distance)

    def check_sight(self, heads: HeadSet) -> None:
        """Refuse heads that cannot see a document of the list.

        Raises:
            HeadRankError: names layer, head, window, document and the remedy.
        """
        hidden = self.unseen()
        if hidden is None:
            return
        heads.check_model(*hidden.shape[:2])
        for layer, head in heads.pairs:
            if hidden[layer, head].any():
                place = int(np.flatnonzero(hidden[layer, head])[0])
                raise out_of_sight(
                    f"query {brief(self.query_id)}: ",
                    (layer, head, self.windows[layer]),
                    self.doc_ids[place],
                    None if self.distance is None else int(self.distance[place]),
                )


def blind_heads(readings: Iterable[ListReading]) -> np.ndarray | None:
    """Return ``[layers, heads]``, True where a head misses a document of any list.

    None if the model has no window.
    """
    blind = None
    for reading in readings:
        hidden = reading.unseen()
        if hidden is not None:
            missed = hidden.any(axis=-1)
            blind = missed if blind is None else blind | missed
    return blind


class ReadingFile:
    """The readings of one query set (or one shard of it), opened lazily from ``.npz``.

    Arrays are read when asked for: folds that need document sums never load the token
    arrays.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._arrays = ArrayFile(path, "reading", "read again")
        self.meta = self._arrays.meta
        if self.meta.get("format") != _FORMAT:
            raise HeadRankError(
                f"{path}: reading format {self.meta.get('format')!r}, expected {_FORMAT}; "
                "delete it and read again"
            )

    def __len__(self) -> int:
        return len(self.meta["queries"])

    def __iter__(self) -> Iterator[ListReading]:
        return self.lists()

    def lists(self, tokens: bool = False) -> Iterator[ListReading]:
        """Yield the readings; with ``tokens`` also the token arrays.

        Raises:
            HeadRankError: the file is damaged, holds NaN, or has no token arrays.
        """
        if tokens and not self.meta["tokens"]:
            raise HeadRankError(
                f"{self.path}: token masses were not kept, so outlier tokens cannot be dropped "
                "for a chosen set of heads; set reading.tokens: all and read again"
            )
        wanted = [name for name in _ARRAYS if name != "tokens" or tokens]
        windows = self.meta["provenance"].get(KEY)
        for number, entry in enumerate(self.meta["queries"]):
            found = {
                name: self._arrays[key]
                for name in wanted
                if (key := f"{name}.{number}") in self._arrays.names
            }
            reading = ListReading(
                entry["query_id"],
                tuple(entry["doc_ids"]),
                windows=None if windows is None else tuple(windows),
                cut={name: tuple(size) for name, size in entry.get("cut", {}).items()},
                **found,
            )
            reading.check(str(self.path))
            yield reading


def save_readings(
    path: str | os.PathLike, readings: Sequence[ListReading], provenance: Mapping
) -> None:
    """Write the readings of one shard as ``.npz``, whole or not at all.

    Args:
        provenance: model, prompt, order, adapter and versions: what determines the numbers;
            with ``headrank.reading.sliding_window.provenance``, which the windows are loaded from.
    """
    meta = {
        "format": _FORMAT,
        "tokens": all(reading.tokens is not None for reading in readings),
        "provenance": dict(provenance),
        "queries": [
            {
                "query_id": reading.query_id,
                "doc_ids": list(reading.doc_ids),
                **({"cut": dict(reading.cut)} if reading.cut else {}),
            }
            for reading in readings
        ],
    }
    arrays = {
        f"{name}.{number}": values
        for number, reading in enumerate(readings)
        for name in _ARRAYS
        if (values := getattr(reading, name)) is not None
    }
    save_arrays(path, meta, arrays)


def cut_summary(shards: Iterable[ReadingFile]) -> dict[str, int]:
    """Return how many documents of some readings were cut, and what was read of those.

    Returns:
        ``documents`` (of all lists), ``cut`` (how many of them), ``tokens`` and ``kept_tokens``
        (of the cut ones); no array is opened.
    """
    total = {"documents": 0, "cut": 0, "tokens": 0, "kept_tokens": 0}
    for shard in shards:
        for entry in shard.meta["queries"]:
            sizes = entry.get("cut", {}).values()
            total["documents"] += len(entry["doc_ids"])
            total["cut"] += len(sizes)
            total["tokens"] += sum(tokens for tokens, _ in sizes)
            total["kept_tokens"] += sum(kept for _, kept in sizes)
    return total


def settings_of(provenance: Mapping) -> dict:
    """Return what determines the numbers: all but the GPU and the commit of the same code."""
    return {key: value for key, value in provenance.items() if key not in ("gpu", "git")}


def load_shards(paths: Sequence[str | os.PathLike]) -> list[ReadingFile]:
    """Return the shards of one query set.

    Raises:
        HeadRankError: two shards were read with different settings, or hold one query twice.
            Shards of a cluster may have been read on different GPUs, and at different commits
            of the same code.
    """

    shards = [ReadingFile(path) for path in paths]
    seen: dict[str, Path] = {}
    for shard in shards:
        if settings_of(shard.meta["provenance"]) != settings_of(shards[0].meta["provenance"]):
            raise HeadRankError(
                f"{shard.path} and {shards[0].path} were read with different settings; "
                "delete both and read again"
            )
        for entry in shard.meta["queries"]:
            if entry["query_id"] in seen:
                raise HeadRankError(
                    f"query {brief(entry['query_id'])} is in {seen[entry['query_id']]} and in "
                    f"{shard.path}; delete both and read again"
                )
            seen[entry["query_id"]] = shard.path
    return shards
