"""A folder of encoded documents that several processes read and fill at once.

An entry is a file that is named by its key, appears whole by a rename and is never changed, so
readers need no lock. Writers take one: the file ``.lock`` also holds what the folder takes, and a
folder that would grow beyond its limit loses the entries that were used longest ago.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from headrank import __version__
from headrank.errors import HeadRankError, HostFault
from headrank.io.files import atomic, told, write_json
from headrank.io.folders import STORE, mark_growing
from headrank.options.checks import check_whole
from headrank.reading.entries import Encoded, read_entry, to_bytes
from headrank.reading.store_card import (
    CARD,
    ENTRIES,
    FORMAT,
    SUFFIX,
    Totals,
    add_lookups,
    counted,
    entry_files,
    load_totals,
    locked,
    read_card,
    read_totals,
    save_totals,
    tidy,
)

LIMIT = 20 * 10**9
"""Bytes of a new folder, unless told otherwise."""

_SPARE = 0.05  # of the limit is freed at once, so that not every entry looks through the folder
_TOLD = 30  # seconds between two notes of the lookups
logger = logging.getLogger(__name__)


class StoreFolder:
    """Encoded documents of one model and prompt in a folder, bounded in bytes.

    Attributes:
        path: of the folder; made by :meth:`bind`.
        card: what the folder holds and was made with; empty before :meth:`bind`.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path, self.card = Path(path), {}
        self._pending, self._warned = Totals(), False
        self._told = time.monotonic()
        weakref.finalize(self, add_lookups, self.path, self._pending)

    @property
    def limit(self) -> int:
        """Return the most bytes that the entries may take."""
        return self.card["limit"]

    def bind(
        self, identity: Mapping[str, object], limit: int | None = None, int8: bool | None = None
    ) -> None:
        """Make the folder for what is to be encoded, or check that it was made for the same.

        Args:
            identity: what decides the numbers; ``name`` is told, not compared.
            limit, int8: of a new folder; another limit of an old one is noted. None takes
                the folder's own, or :data:`LIMIT` and False.

        Raises:
            HeadRankError: a folder of something else, of another format, or of another model or
                prompt: the message names what differs.
        """
        if limit is not None:
            limit = check_whole("limit", limit, 1, "None")
        mark_growing(self.path, STORE)
        if not (self.path / CARD).is_file():
            self._make(identity, limit or LIMIT, bool(int8))
        self.card = read_card(self.path)
        differing = [
            f"{name} is {_short(self.card['made_of'].get(name))} there, {_short(value)} here"
            for name, value in identity.items()
            if name != "name" and self.card["made_of"].get(name) != value
        ]
        if int8 is not None and int8 != self.card["int8"]:
            differing.append(f"int8 is {self.card['int8']} there, {int8} here")
        if differing:
            raise HeadRankError(
                f"{self.path}: holds documents encoded otherwise ({self.card['made_of']['name']}): "
                f"{'; '.join(differing)}. Give another folder, or the same settings"
            )
        if limit is not None and limit != self.limit:
            with self._locked() as totals:
                self.card = {**self.card, "limit": limit}
                write_json(self.path / CARD, self.card)
                if totals.bytes > limit:
                    self._make_room(totals, 0)

    def _make(self, identity: Mapping[str, object], limit: int, int8: bool) -> None:
        with told(self.path):
            (self.path / ENTRIES).mkdir(parents=True, exist_ok=True)
        with self._locked():
            if (self.path / CARD).is_file():
                return  # another process was faster
            card = {"format": FORMAT, "headrank": __version__, "limit": limit, "int8": int8}
            write_json(self.path / CARD, {**card, "made_of": dict(identity)})

    def find(self, key: str) -> Encoded | None:
        """Return an entry and note its use; None if it is not there.

        Raises:
            HostFault: it is damaged, or of another format.
        """
        path = self._path(key)
        try:
            with told(path):
                entry = read_entry(path, key)
        except FileNotFoundError:
            return None
        self.touch(key)
        return entry

    def has(self, key: str) -> bool:
        """Return whether an entry is there; if so, note its use."""
        return self.touch(key)

    def size(self, key: str) -> int:
        """Return the bytes of an entry's file, which is there."""
        return self._path(key).stat().st_size

    def touch(self, key: str) -> bool:
        """Note that an entry is used now; return whether it is there."""
        path = self._path(key)
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        except OSError:  # a folder that is only read
            return path.is_file()
        return True

    def keep(self, entries: Mapping[str, Encoded]) -> None:
        """Write entries that are not there yet; a folder that is only read gets none, and says so.

        Raises:
            HostFault: the disk is full or may not be written to, or one entry takes more than
                the limit.
        """
        if not os.access(self.path, os.W_OK | os.X_OK):
            if not self._warned:
                logger.warning(
                    "%s: may not be written to, so new documents are kept in memory only", self.path
                )
            self._warned = True
            return
        with self._locked() as totals:
            for key, entry in entries.items():
                path = self._path(key)
                if path.is_file():
                    continue
                data = to_bytes(entry, key)
                if len(data) > self.limit:
                    raise HostFault(
                        f"{self.path}: a document takes {len(data)} bytes, the store's limit is "
                        f"{self.limit}; raise the limit (headrank encode --limit)"
                    )
                if totals.bytes + len(data) > self.limit:
                    self._make_room(totals, len(data))
                with atomic(path) as temporary:
                    temporary.write_bytes(data)
                totals.bytes += len(data)
                totals.entries += 1

    def note(self, hits: int, misses: int) -> None:
        """Count lookups; they are written now and then, and at the end of the process."""
        self._pending.hits += hits
        self._pending.misses += misses
        if time.monotonic() - self._told > _TOLD:
            self._told = time.monotonic()
            add_lookups(self.path, self._pending)

    def totals(self) -> Totals:
        """Return what the folder takes and how often it was of use, this process included."""
        add_lookups(self.path, self._pending)
        return read_totals(self.path)

    def _path(self, key: str) -> Path:
        return self.path / ENTRIES / key[:2] / f"{key}{SUFFIX}"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[Totals]:
        """Yield the totals, to be changed; no other process writes meanwhile."""
        with told(self.path), locked(self.path) as handle:
            totals = load_totals(handle)
            if totals is None or totals.open:
                before = totals or Totals()
                totals = Totals(**{**asdict(before), **counted(self.path)})
            totals.open = True
            save_totals(handle, totals)
            try:
                yield totals
            finally:
                totals.open = False
                save_totals(handle, totals)

    def _make_room(self, totals: Totals, needed: int) -> None:
        """Delete entries, the least recently used first, until so many bytes have room."""
        tidy(self.path)
        found = sorted(entry_files(self.path))
        totals.bytes = sum(size for _, size, _ in found)
        totals.entries = len(found)
        most = self.limit - max(needed, int(_SPARE * self.limit))
        for _, size, path in found:
            if totals.bytes <= most:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            totals.bytes -= size
            totals.entries -= 1
            totals.gone += 1


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:16]}..." if len(text) > 40 else repr(value) if isinstance(value, str) else text
