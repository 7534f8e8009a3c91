"""A user's own files that a config names: are they there, and are they still the same?

Snakemake compares times. A file that is replaced by an older one (``mv``, ``cp -p``, ``tar``)
looks finished to it, and so does a folder that is gone but was read before. So what decides a
result is hashed here, and rules carry the hashes among their parameters.

Standard library alone: this runs where only Snakemake is installed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrank.collections.beir import source_files
from headrank.collections.layout import CANDIDATES, CORPUS, EXCLUDED, QRELS, QUERIES, file_of
from headrank.errors import HeadRankError
from headrank.io.files import read_json, sha256, write_json
from headrank.io.folders import visible_files
from headrank.io.texts import local_path

MADE = ("resources/models", "resources/collections", "resources/indexes")
"""Folders of what the workflow makes; Snakemake deletes there what it is about to make anew."""


@dataclass(frozen=True)
class Original:
    """What a config names of the user's own.

    Attributes:
        key: where the config names it.
        path: as the config writes it.
        collection: whether it is the folder of a collection.
        file: whether it must be a file, a folder, or may be either (None).
    """

    key: str
    path: str
    collection: bool = False
    file: bool | None = None

    def problem(self) -> str | None:
        """Return what is wrong with it, None if nothing is."""
        found = Path(local_path(self.path))
        if not found.exists():
            here = "" if found.is_absolute() else f" (counted from {Path.cwd()})"
            return f"{self.key} is {self.path!r}, and there is no such path{here}; correct it"
        if self.file is True and not found.is_file():
            return f"{self.key} is {self.path!r}, a folder; allowed: a file"
        if self.file is False and not found.is_dir():
            return f"{self.key} is {self.path!r}, a file; allowed: a folder"
        inside = found.resolve()
        for folder in MADE:
            if Path(folder).resolve() in (inside, *inside.parents):
                return (
                    f"{self.key} is {self.path!r}, a folder that the workflow itself writes to and "
                    "deletes from; copy the files to another place"
                )
        for path in self.needed():
            if not Path(path).is_file():
                return (
                    f"{self.key} is {self.path!r}, which holds no "
                    f"{os.path.relpath(path, found)}; a collection is a folder with {CORPUS}, "
                    f"{QUERIES} and {QRELS} (or BEIR's qrels/SPLIT.tsv), plain or packed by gzip"
                )
        return None

    def needed(self) -> list[str]:
        """Return the paths of the files that must lie in the folder."""
        return source_files(local_path(self.path)) if self.collection else []

    def files(self) -> dict[str, Path]:
        """Return the files by their name inside; hidden ones (.git, .cache) decide nothing."""
        root = Path(local_path(self.path))
        if root.is_file():
            return {root.name: root}
        if self.collection:
            optional = [file_of(root, name) for name in (CANDIDATES, EXCLUDED)]
            known = [*map(Path, self.needed()), *optional]
            return {p.relative_to(root).as_posix(): p for p in known if p.is_file()}
        return visible_files(root)


def originals(
    config: Mapping, weights: Collection[str], collections: Collection[str]
) -> list[Original]:
    """Return what a config names of the user's own, of these models, encoders and collections."""
    found = []
    for group in ("models", "encoders"):
        for name, entry in config[group].items():
            if entry["source"]["kind"] == "local" and name in weights:
                gguf = entry.get("format") == "gguf"
                key = f"{group}.{name}.source.path"
                found.append(Original(key, entry["source"]["path"], file=gguf))
    for name, entry in config["collections"].items():
        if name not in collections:
            continue
        if entry["source"]["kind"] == "local":
            key = f"collections.{name}.source.path"
            found.append(Original(key, entry["source"]["path"], collection=True, file=False))
        for split, run in entry["runs"].items():
            found.append(Original(f"collections.{name}.runs.{split}", run, file=True))
    return found


def check_originals(found: Iterable[Original]) -> None:
    """Refuse paths that are not there before any job: an earlier result would hide it.

    Raises:
        HeadRankError: one line for each.
    """
    problems = [problem for one in found if (problem := one.problem())]
    if problems:
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        raise HeadRankError("\n".join([f"the config has {count}:", *problems]))


class Hashes:
    """SHA-256 of files, computed again only where size, times or inode changed.

    Args:
        store: file that keeps them between two calls; None keeps them in memory alone.
    """

    def __init__(self, store: str | os.PathLike | None = None) -> None:
        self.store = store
        self.known: dict[str, list] = {}
        if store is not None and Path(store).is_file():
            # A damaged store costs time, nothing else.
            with contextlib.suppress(HeadRankError):
                kept = read_json(store)
                self.known = kept if isinstance(kept, dict) else {}
        self.changed = False

    def of(self, path: str | os.PathLike) -> str:
        """Return the hash of a file.

        The time of the inode's last change (ctime) is asked for too: no tool sets it back.
        """
        name = os.path.abspath(path)
        state = os.stat(name)
        seen = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
        known = self.known.get(name)
        if not (isinstance(known, list) and len(known) == 2 and known[0] == seen):
            self.known[name] = known = [seen, sha256(name)]
            self.changed = True
        return known[1]

    def of_all(self, one: Original) -> dict[str, str]:
        """Return ``{name inside: hash}`` of an original's files; empty where it is not there."""
        with contextlib.suppress(OSError):
            return {name: self.of(path) for name, path in one.files().items()}
        return {}

    def save(self) -> None:
        """Keep the hashes for the next call, where the folder takes files."""
        if self.store is not None and self.changed:
            with contextlib.suppress(HeadRankError, OSError):
                write_json(self.store, self.known)
            self.changed = False


def replaced_originals(
    manifest: str | os.PathLike, now: Mapping[str, Mapping[str, object]]
) -> str | None:
    """Return which of the user's files differ from those that results were made from, if any do.

    Args:
        manifest: the results' manifest; it may be missing, or older than this note.
        now: as `noted` returns it.
    """
    if not Path(manifest).is_file():
        return None
    try:
        before = read_json(manifest).get("originals", {})
    except (HeadRankError, AttributeError):
        # `headrank.workflow.config.changes` tells what is wrong with it.
        return None
    different = [
        f"{key} ({', '.join(changed)})"
        for key in sorted(before.keys() & now.keys())
        if (changed := _different(before[key]["sha256"], now[key]["sha256"]))
    ]
    if not different:
        return None
    return (
        f"{manifest} notes other files of {', '.join(different)}. What is made from them is made "
        "anew and replaces the earlier results; if no job does so, Snakemake's own records "
        "(.snakemake) are gone: delete the folder in resources that was made from them"
    )


def _different(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = sorted(n for n in before.keys() | now.keys() if before.get(n) != now.get(n))
    return names[:5] + [f"{len(names) - 5} more"] * (len(names) > 5)


def noted(found: Iterable[Original], hashes: Hashes) -> dict[str, dict[str, object]]:
    """Return ``{key: {path, sha256: {name: hash}}}`` of what a config names of the user's own."""
    return {one.key: {"path": one.path, "sha256": hashes.of_all(one)} for one in found}


def note_problems(
    noted: Mapping[str, Mapping], root: str | os.PathLike
) -> Iterator[tuple[bool, str]]:
    """Yield what became of noted files: (whether they changed, message); False if not there.

    Args:
        root: the folder that relative paths count from.
    """
    for key, entry in noted.items():
        path = Path(root, local_path(entry["path"]))
        if not path.exists():
            yield False, f"{path} ({key})"
            continue
        for name, expected in entry["sha256"].items():
            file = path if path.is_file() else path / name
            if not file.is_file():
                yield True, f"{file}: gone since the results were made from it ({key})"
            elif sha256(file) != expected:
                yield (
                    True,
                    f"{file}: changed since the results were made from it ({key}); put it back, or "
                    "run the workflow again",
                )
