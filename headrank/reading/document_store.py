"""Documents encoded once: their keys and values, kept for every later query that lists them.

In layout ``block`` what a document's tokens compute depends on the model, the shared prefix and
the document alone, so it can be kept; the query then costs its own tokens only. An entry's key is
a digest of all that decides its numbers, so what was changed is never found again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from headrank.errors import HeadRankError
from headrank.io.files import json_sha256, sha256
from headrank.options.checks import check_whole
from headrank.options.prompt import STORABLE
from headrank.reading.entries import Encoded
from headrank.reading.layout import shared_prefix
from headrank.reading.list_cache import Lender
from headrank.reading.store_card import FORMAT, PREFIX
from headrank.reading.store_folder import StoreFolder

if TYPE_CHECKING:
    from headrank.models.decoder import LoadedModel
    from headrank.reading.packed import Packed
    from headrank.reading.prompt import PromptBuilder

WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
MEMORY = 2 * 10**9
"""Bytes in memory in front of a folder, unless told otherwise."""

OF_A_JOB = 10**9
"""Bytes that one job of a workflow keeps in memory where it reads each document once."""

_ENTRIES = 30_000  # most in memory: each may be a map of a file, which the system limits
_FRESH = 600  # seconds after which a folder's entry that memory serves is marked as used again
logger = logging.getLogger(__name__)


@dataclass
class _Held:
    entry: Encoded
    touched: float = field(default_factory=time.monotonic)


class DocumentStore:
    """Encoded documents of one or more rankers, in memory and maybe in a folder behind it.

    In memory they lie on the device of the model that read them. Both places are bounded in bytes:
    where there is no room for a new one, the least recently used go. Threads may share a store,
    processes the folder.

    Attributes:
        limit: bytes at most, in memory.
        int8: entries are kept in 8 bits, with a scale a token and key head. What is read of a
            document is then the same in its first list and in later ones.
        alone: what else is in a pass has the least say in a document's numbers, so that lists
            hardly depend on those before them (see :func:`headrank.reading.apart.fill`).
        folder: keeps them on disk; None keeps them in memory alone.
        bytes: that are taken in memory.
        hits, misses: documents that were found, and not, since the store was made or opened.
    """

    def __init__(
        self,
        limit: int = MEMORY,
        *,
        int8: bool = False,
        alone: bool = False,
        folder: StoreFolder | None = None,
    ) -> None:
        limit = check_whole("limit", limit, 1)
        self.limit, self.int8, self.alone, self.folder = limit, int8, alone, folder
        self.bytes = self.hits = self.misses = 0
        self._asked: dict[str, object] = {}
        self._entries: OrderedDict[str, _Held] = OrderedDict()
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike,
        *,
        memory: int = MEMORY,
        limit: int | None = None,
        int8: bool | None = None,
        alone: bool = False,
    ) -> DocumentStore:
        """Return a store whose documents lie in a folder; a ranker makes it if it is not there.

        Args:
            memory: most bytes in memory in front of the folder.
            limit: most bytes in the folder; None takes what it was made with, else 20 GB.
            int8: keep 8 bits; None takes what it was made with, else the model's own type.
            alone: as the attribute has it.
        """
        store = cls(memory, alone=alone, folder=StoreFolder(folder))
        store._asked = {"limit": limit, "int8": int8}
        return store

    def __len__(self) -> int:
        return len(self._entries)

    def bind(self, identity: Mapping[str, object]) -> None:
        """Make or check the folder for what decides the numbers (see :func:`identity_of`).

        Raises:
            HeadRankError: as ``StoreFolder.bind``.
        """
        if self.folder is not None:
            self.folder.bind(identity, **self._asked)
            self.int8 = self.folder.card["int8"]

    def find(self, key: str, device: torch.device | None = None) -> Encoded | None:
        """Return an entry and note its use; None if it is not there.

        Args:
            device: where an entry of the folder is wanted; None leaves it on the CPU.

        Raises:
            HeadRankError: a damaged file in the folder.
        """
        with self._lock:
            held = self._entries.get(key)
            if held is not None:
                self._entries.move_to_end(key)
                if self.folder is not None and time.monotonic() - held.touched > _FRESH:
                    self.folder.touch(key)
                    held.touched = time.monotonic()
                return held.entry
            if self.folder is None:
                return None
        entry = self.folder.find(key)
        if entry is not None:
            entry = entry if device is None else entry.to(device)
            with self._lock:
                self._hold(key, entry)
        return entry

    def has(self, key: str) -> bool:
        """Return whether an entry is there, unread; if so, note its use."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                if self.folder is None:
                    return True
        return self.folder is not None and self.folder.has(key)

    def keep(self, entries: Mapping[str, Encoded]) -> None:
        """Take entries in; in memory, one that is larger than the whole store is not kept.

        Raises:
            HeadRankError: as ``StoreFolder.keep``.
        """
        with self._lock:
            for key, entry in entries.items():
                self._hold(key, entry)
        if self.folder is not None:
            self.folder.keep(entries)

    def count(self, hits: int, misses: int) -> None:
        """Count lookups of documents."""
        with self._lock:
            self.hits += hits
            self.misses += misses
            if self.folder is not None:
                self.folder.note(hits, misses)

    def clear(self) -> None:
        """Forget all entries in memory; the counts and the folder stay."""
        with self._lock:
            self._entries.clear()
            self.bytes = 0

    def _hold(self, key: str, entry: Encoded) -> None:
        old = self._entries.pop(key, None)
        if old is not None:
            self.bytes -= old.entry.bytes
        if entry.bytes > self.limit:
            return
        while self.bytes + entry.bytes > self.limit or len(self._entries) >= _ENTRIES:
            _, gone = self._entries.popitem(last=False)
            self.bytes -= gone.entry.bytes
        self._entries[key] = _Held(entry)
        self.bytes += entry.bytes


def job_store(encode_once: bool, layout: str) -> DocumentStore | None:
    """Return the store of a job that reads each document once; None for one that does not.

    In layouts in which a document sees other text nothing can be kept.
    """
    if not (encode_once and layout in STORABLE):
        return None
    return DocumentStore(OF_A_JOB, alone=True)


def state_of(model: LoadedModel, adapter: str | os.PathLike | None) -> dict[str, object]:
    """Return what of a model decides the numbers that it gives.

    Weights, the model's config, adapter (whether it is merged, too), dtype, kind of device and
    depth.

    Args:
        adapter: folder of the adapter that is in the model.

    Raises:
        HeadRankError: the model carries an adapter that no folder tells.
    """
    wrapped = hasattr(model.decoder, "peft_config")
    if wrapped and adapter is None:
        raise HeadRankError(
            "the model carries an adapter that was not loaded from a folder, so what it encodes "
            "cannot be told apart; save the adapter and load the ranker with it"
        )
    files = [] if adapter is None else [Path(adapter) / WEIGHTS, Path(adapter) / ADAPTER_CONFIG]
    found = _state(
        model,
        adapter="+".join(sha256(file) for file in files if file.is_file()) or None,
        merged=not any("lora" in name for name, _ in model.decoder.named_modules()),
    )
    return found | ({"tokens": "query"} if model.query_adapter else {})


def document_state(model: LoadedModel, adapter: str | os.PathLike | None) -> dict[str, object]:
    """Return what decides a document's numbers beside its tokens and the prefix.

    That is what `state_of` tells; but an adapter of a query's tokens alone has no say in it.

    Raises:
        HeadRankError: as `state_of`.
    """
    if model.query_adapter:
        return _state(model, adapter=None, merged=True)
    return state_of(model, adapter)


def _state(model: LoadedModel, *, adapter: str | None, merged: bool) -> dict[str, object]:
    return {
        "weights": model.digest,
        "config": model.config_digest,
        "adapter": adapter,
        "merged": merged,
        "dtype": model.dtype,
        "device": model.device.type,
        "layers": model.layers,
    }


def identity_of(
    model: LoadedModel, adapter: str | os.PathLike | None, builder: PromptBuilder
) -> dict[str, object]:
    """Return what all documents of a store have in common, as its card tells it.

    Raises:
        HeadRankError: as :func:`document_state`, or a layout in which a document sees other text.
    """
    options = builder.options
    check_layout(options.layout)
    # Without a budget `fit` keeps the same tokens of every document that may be read at all.
    fit = builder.fit and options.document_tokens is not None
    return {
        "name": model.name,
        **document_state(model, adapter),
        "layout": options.layout,
        "prefix": json_sha256(list(shared_prefix(builder))),
        "marker": options.marker,
        "separator": options.separator,
        "document_tokens": "fit" if fit else options.document_tokens,
    }


def check_layout(layout: str) -> None:
    """Refuse a layout in which a document sees more than the shared header and itself."""
    if layout not in STORABLE:
        raise HeadRankError(
            f"layout is {layout}; a store of encoded documents needs layout block or block-tenth, "
            "where nothing that a document sees belongs to a query or list: "
            "prompt={'layout': 'block'} or --layout block"
        )


@dataclass(frozen=True)
class Shelf:
    """A store as one model in one state sees it (see :func:`document_state`).

    Attributes:
        device: where the model computes; None is the CPU.
        lender: memory of lists that were read before.
    """

    store: DocumentStore
    state: Mapping[str, object]
    device: torch.device | None = None
    lender: Lender = field(default_factory=Lender)

    @functools.cached_property
    def _known(self) -> dict[tuple[tuple[int, ...], int], hashlib._Hash]:
        return {}

    def key(
        self,
        head: Sequence[int],
        ids: Sequence[int],
        layers: int,
        part: Sequence[int] | None = None,
    ) -> str:
        """Return the key of a document behind a shared prefix, read to so many layers.

        Without ids it is that of the prefix. ``part`` names the tokens that are kept, if not all.
        """
        common = (tuple(head), layers)
        if common not in self._known:
            parts = [FORMAT, self.store.int8, dict(self.state), *common]
            self._known[common] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        found = self._known[common].copy()
        found.update(np.asarray(ids, dtype=np.int64).tobytes())
        if part is not None:
            found.update(b"part" + np.asarray(part, dtype=np.int64).tobytes())
        return found.hexdigest() if len(ids) else PREFIX + found.hexdigest()

    def keys(self, packed: Packed, layers: int) -> dict[int, str]:
        """Return the keys of a list's documents by their place, in the order they are computed."""
        head = packed.prompt.blocks.head(0)
        return {
            one: self.key(head, packed.ids([one]), layers, packed.part(one))
            for one in packed.prompt.blocks.order
        }

    def find(self, key: str) -> Encoded | None:
        """Return an entry where the model computes; None if it is not there."""
        return self.store.find(key, self.device)
