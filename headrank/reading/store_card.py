"""What a store's folder tells of itself: its card, what it takes, and how often it was of use.

Nothing here imports torch, so that ``headrank info`` answers at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from headrank.errors import HeadRankError
from headrank.io.files import read_json
from headrank.io.folders import STORE

FORMAT = 1
"""Of folder and files. Another one is never read."""

CARD = "store.json"
SUFFIX = ".safetensors"
ENTRIES = "entries"
PREFIX = "prefix-"
"""What the key of a shared prefix starts with; it is no document."""

LOCK = ".lock"
_AGED = 3600  # seconds after which an unfinished file is what a killed process left


@dataclass
class Totals:
    """What the lock file holds.

    Attributes:
        bytes, entries: in the folder.
        hits, misses: lookups of documents since the folder was made.
        gone: entries that made room for others.
        open: a writer is at work; found by the next one, it was killed, and the folder is counted.
    """

    bytes: int = 0
    entries: int = 0
    hits: int = 0
    misses: int = 0
    gone: int = 0
    open: bool = False


def read_card(folder: str | os.PathLike) -> dict:
    """Return the card of a store.

    Raises:
        HeadRankError: it is no store, or one of another format.
    """
    path = Path(folder) / CARD
    card = read_json(path)
    if not isinstance(card, dict) or not isinstance(card.get("made_of"), dict):
        raise HeadRankError(f"{path}: not the card of a store; encode into another folder")
    if card.get("format") != FORMAT:
        raise HeadRankError(
            f"{path}: a store of format {card.get('format')}; this version of HeadRank reads "
            f"format {FORMAT}. Encode into another folder, or use the version that wrote it"
        )
    return card


def read_totals(folder: str | os.PathLike) -> Totals:
    """Return what a store takes and how often it was of use; nothing is written."""
    try:
        with open(Path(folder) / LOCK, "rb") as handle:
            totals = load_totals(handle.fileno())
    except FileNotFoundError:
        totals = None
    if totals is None or totals.open:
        return Totals(**{**asdict(totals or Totals()), **counted(Path(folder))})
    return totals


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Yield the lock file of a folder once no other process holds it; a dead one holds nothing."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def load_totals(handle: int) -> Totals | None:
    """Return what an open lock file holds; None if it holds nothing that can be read."""
    try:
        found = json.loads(os.pread(handle, 4096, 0))
        return Totals(**{field.name: found[field.name] for field in fields(Totals)})
    except (ValueError, KeyError, TypeError):
        return None


def save_totals(handle: int, totals: Totals) -> None:
    """Write the totals into an open lock file."""
    # Padded: a shorter text leaves nothing of a longer one, without a moment of an empty file.
    os.pwrite(handle, json.dumps(asdict(totals)).ljust(256).encode() + b"\n", 0)


def add_lookups(folder: Path, pending: Totals) -> None:
    """Add a process's lookups to the folder's; one that may not be written to keeps its own."""
    if not (pending.hits or pending.misses):
        return
    with contextlib.suppress(OSError), locked(folder) as handle:
        totals = load_totals(handle) or Totals(open=True)
        totals.hits += pending.hits
        totals.misses += pending.misses
        pending.hits = pending.misses = 0
        save_totals(handle, totals)


def entry_files(folder: Path) -> Iterator[tuple[int, int, str]]:
    """Yield time of last use, bytes and path of each entry."""
    for path in (folder / ENTRIES).glob(f"*/*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            state = path.stat()
            yield state.st_mtime_ns, state.st_size, str(path)


def tidy(folder: Path) -> None:
    """Delete what writers that were killed left half-written, under other names."""
    for path in (folder / ENTRIES).glob("*/.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _AGED:
                path.unlink()


def counted(folder: Path) -> dict[str, int | bool]:
    """Return the totals that the files themselves tell."""
    found = [size for _, size, _ in entry_files(folder)] if (folder / ENTRIES).is_dir() else []
    return {"bytes": sum(found), "entries": len(found), "open": False}


def describe_store(folder: str | os.PathLike) -> dict:
    """Return what a store holds and was made with, as ``headrank info`` shows it.

    Raises:
        HeadRankError: as :func:`read_card`.
    """
    card, totals = read_card(folder), read_totals(folder)
    made = dict(card["made_of"])
    if made.get("adapter") is None:
        made.pop("merged", None)  # there is nothing that could be merged
    prefixes = sum(1 for _ in (Path(folder) / ENTRIES).glob(f"*/{PREFIX}*{SUFFIX}"))
    documents, lookups = totals.entries - prefixes, totals.hits + totals.misses
    return {
        "kind": STORE,
        "documents": documents,
        "bytes": totals.bytes,
        "limit": card["limit"],
        "bytes_a_document": round(totals.bytes / documents) if documents else None,
        "made_room": totals.gone,
        "int8": card["int8"],
        "model": made.pop("name"),
        **made,
        "hits": totals.hits,
        "misses": totals.misses,
        "hit_rate": round(totals.hits / lookups, 4) if lookups else None,
        "headrank": card["headrank"],
    }
