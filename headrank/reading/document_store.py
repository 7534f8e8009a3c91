"""Documents encoded once: their keys and values in memory, for every later query that lists them.

In layout ``block`` what a document's tokens compute depends on the model, the shared prefix and
the document alone, so it can be kept; the query then costs its own tokens only. An entry's key is
a digest of all that decides its numbers, so what was changed is never found again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from headrank.errors import HeadRankError
from headrank.io.files import sha256

if TYPE_CHECKING:
    from headrank.models.decoder import LoadedModel

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Encoded:
    """What is kept of one document, or of the shared prefix.

    Attributes:
        keys: ``[layers, key heads, tokens, dim]``, behind rotary embedding.
        values: the same of one layer less: the deepest layer reads keys only.
    """

    keys: torch.Tensor
    values: torch.Tensor

    @property
    def bytes(self) -> int:
        """Return the memory that it takes."""
        return sum(one.numel() * one.element_size() for one in (self.keys, self.values))


class DocumentStore:
    """Encoded documents of one or more rankers in this process, bounded in bytes.

    They lie on the device of the model that read them. Where there is no room for a new one, the
    least recently used go.

    Attributes:
        limit: bytes at most.
        bytes: that are taken.
        hits, misses: entries that were found, and not, since the store was made; each list asks
            for its documents and their shared prefix.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise HeadRankError(f"the store's limit is {limit} bytes; give at least 1")
        self.limit, self.bytes, self.hits, self.misses = limit, 0, 0, 0
        self._entries: OrderedDict[str, Encoded] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str) -> Encoded | None:
        """Return an entry and note its use; None if it is not there."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return entry

    def keep(self, key: str, entry: Encoded) -> None:
        """Take an entry in; one that is larger than the whole store is not kept."""
        old = self._entries.pop(key, None)
        if old is not None:
            self.bytes -= old.bytes
        if entry.bytes > self.limit:
            return
        while self.bytes + entry.bytes > self.limit:
            _, gone = self._entries.popitem(last=False)
            self.bytes -= gone.bytes
        self._entries[key] = entry
        self.bytes += entry.bytes

    def clear(self) -> None:
        """Forget all entries; the counts stay."""
        self._entries.clear()
        self.bytes = 0


def state_of(model: LoadedModel, adapter: str | os.PathLike | None) -> str:
    """Return a digest of what decides a document's numbers beside its tokens and the prefix.

    Weights, adapter (whether it is merged, too), dtype and kind of device.

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
    state = {
        "model": model.digest,
        "adapter": None if adapter is None else sha256(Path(adapter) / WEIGHTS),
        "merged": not any("lora" in name for name, _ in model.decoder.named_modules()),
        "dtype": str(model.decoder.dtype),
        "device": model.device.type,
    }
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Shelf:
    """A store as one model in one state sees it (see :func:`state_of`)."""

    store: DocumentStore
    state: str

    def key(self, head: Sequence[int], ids: Sequence[int], layers: int) -> str:
        """Return the key of a document behind a shared prefix, read to so many layers."""
        parts = json.dumps([self.state, layers, list(head), list(ids)])
        return hashlib.sha256(parts.encode()).hexdigest()
