"""Folders that appear whole or not at all, and never in place of a user's own files.

Each folder made here carries a list of its files, ``.headrank.json``. A later one takes its
place only if it holds nothing else. Folders of earlier versions have no such list; their
cards name their files.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from headrank import __version__
from headrank.errors import HeadRankError, with_article
from headrank.io.files import file_mode, read_json, told, write_json
from headrank.io.targets import check_parent

logger = logging.getLogger(__name__)

MANIFEST = ".headrank.json"
ADAPTER, COLLECTION, INDEX, MODEL, RANKER, STORE = (
    "adapter",
    "collection",
    "BM25 index",
    "model",
    "saved ranker",
    "store of encoded documents",
)
# Cards of earlier versions, and what such a folder holds beside the files that its card hashes.
_CARDS = (
    ("ranker.json", RANKER, "options", ()),
    ("index.json", INDEX, "postings", ()),
    ("collection.json", COLLECTION, "counts", ()),
    ("headrank.json", ADAPTER, "model_digest", ("training.csv", "validation.csv")),
    ("headrank.json", MODEL, "source", ()),
)
# The list itself, and what Snakemake leaves in a folder that is a rule's output.
_NOT_COUNTED = frozenset({MANIFEST, ".snakemake_timestamp"})
_REMEDY = "give a new or an empty folder, or move them elsewhere"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def visible_files(folder: str | os.PathLike) -> dict[str, Path]:
    """Return ``{name inside: path}`` of all files below a folder, sorted, without hidden ones.

    What starts with a dot, or lies in such a folder, is a file in the making or what tools keep
    there (.git, .cache).
    """
    found = {path.relative_to(folder): path for path in sorted(Path(folder).rglob("*"))}
    return {
        name.as_posix(): path
        for name, path in found.items()
        if not any(part.startswith(".") for part in name.parts) and path.is_file()
    }


@contextlib.contextmanager
def atomic_dir(path: str | os.PathLike, kind: str | None = None) -> Iterator[Path]:
    """Yield a temporary folder beside the target; it takes the target's place at the end.

    Where the system can exchange two names at once, a folder stands under the target's name at
    every moment. Files are as readable as any new file, whoever wrote them.

    Args:
        path: a symbolic link is kept: the folder that it names is replaced.
        kind: what the folder holds. Only an older one of this kind is replaced, as
            `check_replaceable` says; None replaces nothing but an empty folder, and leaves no
            list of files.

    Raises:
        HeadRankError: as `headrank.io.files.atomic` and `check_replaceable`. If the target became
            another's while the block worked, the error says where the new folder lies.
    """
    target = check_replaceable(path, kind)
    with told(path), _new_folder(target) as temporary:
        yield temporary
        finish_folder(temporary, kind)
        put_in_place(temporary, path, kind)


@contextlib.contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(temporary: Path, path: str | os.PathLike, kind: str | None) -> None:
    """Rename a finished folder to the target; what was there is deleted after that.

    Raises:
        HeadRankError: the target may not be replaced; the new folder is kept beside it.
    """
    try:
        target = check_replaceable(path, kind)
    except HeadRankError as error:
        kept = _unused(Path(os.path.realpath(path)), "new")
        os.replace(temporary, kept)
        raise HeadRankError(f"{error}. What was made is at {kept}") from None
    if not target.exists() or not any(target.iterdir()):
        os.replace(temporary, target)
        return
    if not _exchange(temporary, target):
        old = temporary.with_suffix(".old")
        os.replace(target, old)
        try:
            os.replace(temporary, target)
        except BaseException:
            os.replace(old, target)
            raise
        temporary = old
    shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: str | os.PathLike, kind: str | None) -> Path:
    """Return the folder that a path names, after the check that it may be made or replaced.

    It may be absent or empty. Else it must be a folder that HeadRank made, of this kind, and
    hold nothing but the files that HeadRank wrote, each with its size.

    Raises:
        HeadRankError: anything else; a file; the working folder; a mount; or a place that may
            not be written to. The message names the first file in the way.
    """
    text = os.fspath(path)
    if not text:
        raise HeadRankError("'': names no folder; give the name of a folder")
    target = Path(os.path.realpath(text))
    if target.exists() and not target.is_dir():
        raise HeadRankError(f"{text}: is a file; give the name of a folder")
    check_parent(target, text)
    if not target.is_dir():
        return target
    if Path.cwd().is_relative_to(target):
        raise HeadRankError(f"{text}: is the working folder; give a folder inside it")
    if os.path.ismount(target):
        raise HeadRankError(f"{text}: is a mount, which cannot be replaced; give a folder in it")
    found = _entries(target)
    first = next(found, None)
    if first is None:
        return target
    made = _made(target)
    if made is None or kind is None:
        raise HeadRankError(f"{text}: holds files that HeadRank did not write ({first}); {_REMEDY}")
    known, files = made
    if known != kind:
        raise HeadRankError(
            f"{text}: holds {with_article(known)}, not {with_article(kind)}; give another folder"
        )
    for name in (first, *found):
        if name not in files:
            raise HeadRankError(
                f"{text}: holds files that HeadRank did not write ({name}); {_REMEDY}"
            )
        size = (target / name).lstat().st_size
        if files[name] not in (None, size):
            raise HeadRankError(
                f"{text}: {name} was changed since HeadRank wrote it; give another folder, or "
                "delete this one"
            )
    return target


def mark_growing(path: str | os.PathLike, kind: str) -> None:
    """Make or find a folder that grows, and mark it as HeadRank's own; its files are not listed.

    So no other kind of folder takes its place.

    Raises:
        HeadRankError: it holds something else, or may not be made.
    """
    text = os.fspath(path)
    target = Path(text)
    if not text or (target.exists() and not target.is_dir()):
        raise HeadRankError(f"{text or repr(text)}: is no folder; give the name of a folder")
    made = _made(target) if target.is_dir() else None
    if made is not None and made[0] == kind:
        return
    if made is not None:
        raise HeadRankError(
            f"{text}: holds {with_article(made[0])}, not {with_article(kind)}; give another folder"
        )
    with told(path):
        target.mkdir(parents=True, exist_ok=True)
    # A process that was killed while it marked the folder left no more than its unfinished mark.
    first = next((one for one in _entries(target) if not one.startswith(f".{MANIFEST}.")), None)
    if first is not None:
        # Another process may have marked it since, and begun to fill it.
        again = _made(target)
        if again is not None and again[0] == kind:
            return
        raise HeadRankError(f"{text}: holds files that HeadRank did not write ({first}); {_REMEDY}")
    write_json(target / MANIFEST, {"headrank": __version__, "kind": kind, "files": {}})


def set_aside(path: str | os.PathLike, kind: str) -> None:
    """Rename a folder that may not be replaced, so that a workflow's job can make its own.

    Snakemake deletes the declared files of an output, the card among them, before a job
    starts. What is left of a folder of an earlier version can then not be told from a user's
    own. Nothing of it is deleted.

    Raises:
        HeadRankError: the place may not be written to.
    """
    target = Path(path)
    if not target.is_dir():
        return
    try:
        check_replaceable(target, kind)
    except HeadRankError as error:
        kept = _unused(target, "before")
        with told(target):
            os.replace(target, kept)
        logger.warning("%s. The folder is now %s; delete it if it is not needed", error, kept)


def _entries(folder: Path) -> Iterator[str]:
    """Yield the path inside a folder of everything in it that is no folder."""
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in sorted([*names, *links]):
            found = Path(root, name).relative_to(folder).as_posix()
            if found not in _NOT_COUNTED:
                yield found


def _made(folder: Path) -> tuple[str, Mapping[str, int | None]] | None:
    """Return kind and files (with sizes, where they are known) of a folder that HeadRank made."""
    listed = _card(folder / MANIFEST)
    if listed is not None:
        kind, files = listed.get("kind"), listed.get("files")
        return (kind, files) if isinstance(kind, str) and isinstance(files, dict) else None
    for name, kind, mark, others in _CARDS:
        card = _card(folder / name)
        if card is not None and mark in card and isinstance(card.get("sha256"), dict):
            return kind, dict.fromkeys([name, *card["sha256"], *others])
    return None


def _card(path: Path) -> dict | None:
    try:
        card = read_json(path)
    except HeadRankError:
        return None
    return card if isinstance(card, dict) else None


def finish_folder(folder: Path, kind: str | None) -> None:
    """Give a folder its list of files and every file the mode of a new one; flush all to disk."""
    if kind is not None:
        sizes = {name: (folder / name).lstat().st_size for name in _entries(folder)}
        write_json(folder / MANIFEST, {"headrank": __version__, "kind": kind, "files": sizes})
    mode = file_mode()
    opened = mode | (mode & 0o444) >> 2  # whoever may read a folder may enter it
    for root, _, names in os.walk(folder):
        os.chmod(root, opened)
        for name in names:
            path = os.path.join(root, name)
            if os.path.islink(path):
                continue
            os.chmod(path, mode)
            with open(path, "rb") as file:
                os.fsync(file.fileno())


def _unused(path: Path, suffix: str) -> Path:
    """Return a free name beside a path."""
    number, found = 1, path.with_name(f"{path.name}.{suffix}")
    while os.path.lexists(found):
        number += 1
        found = path.with_name(f"{path.name}.{suffix}-{number}")
    return found


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; return whether the system and the disk can."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return rename(*names) == 0
