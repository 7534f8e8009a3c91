"""Where a result is to be written: checked before the work, and found again at its end."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from headrank.errors import HeadRankError

# Names of a process's own open descriptors; the shell may have opened them for appending.
_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|thread-self|\d+))/fd/(\d+)")
_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_LINKS = 40  # as many as Linux follows


@dataclass(frozen=True)
class Target:
    """Where the bytes of an output go.

    Attributes:
        place: a path whose last part is no link, or an open descriptor of this process.
        through: it is no regular file, and is written to in place of being replaced.
    """

    place: str | int
    through: bool


def file_target(path: str | os.PathLike) -> Target:
    """Return where a file's output goes; symbolic links are followed.

    Raises:
        HeadRankError: a folder, a block device, a closed descriptor, or links in a circle.
    """
    text = os.fspath(path)
    if not text or text.endswith(os.sep):
        raise HeadRankError(f"{text or repr(text)}: names no file; give the name of a file")
    place = os.path.join(os.getcwd(), text)
    for _ in range(_LINKS):
        number = _descriptor(os.path.normpath(place))
        if number is not None:
            return _open_descriptor(number, text)
        if not os.path.islink(place):
            break
        place = os.path.join(os.path.dirname(place), os.readlink(place))
    else:
        raise HeadRankError(f"{text}: symbolic links that lead in a circle; give another path")
    try:
        mode = os.stat(place).st_mode
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return Target(place, through=False)  # whether it can be made is for the writer
    if stat.S_ISDIR(mode):
        raise HeadRankError(f"{text}: is a folder; give the name of a file")
    if stat.S_ISBLK(mode):
        raise HeadRankError(f"{text}: is a disk; give the name of a file")
    return Target(place, through=not stat.S_ISREG(mode))


def _descriptor(place: str) -> int | None:
    """Return the descriptor that a path names, if it is one of this process."""
    if place in _STREAMS:
        return _STREAMS[place]
    found = _DESCRIPTOR.fullmatch(place)
    if found is None or place.split("/")[2] not in ("fd", "self", "thread-self", str(os.getpid())):
        return None
    return int(found[1])


def _open_descriptor(number: int, text: str) -> Target:
    try:
        os.fstat(number)
    except OSError:
        raise HeadRankError(f"{text}: is closed; give the name of a file") from None
    return Target(number, through=True)


def check_output(path: str | os.PathLike, inputs: Iterable[str | os.PathLike | None] = ()) -> None:
    """Refuse an output file that could not be written at the end, before the work begins.

    Args:
        path: the output; ``-`` is standard output.
        inputs: what the work reads. None stands for one that is not given.

    Raises:
        HeadRankError: as `file_target`; a folder that is none or may not be written to; or a
            file that is also an input, which the output would replace.
    """
    if path == "-":
        if sys.stdout is None:
            raise HeadRankError("standard output is closed; name a file for the output")
        return
    target = file_target(path)
    if target.through:
        if isinstance(target.place, str) and not os.access(target.place, os.W_OK):
            raise HeadRankError(f"{path}: may not be written to; give the name of a file")
        return
    for one in inputs:
        if one is not None and _same(target.place, one):
            raise HeadRankError(
                f"{path}: is also an input ({one}), which the output would replace; give the "
                "output another name"
            )
    check_parent(Path(target.place), path)


def check_parent(place: Path, given: str | os.PathLike) -> None:
    """Refuse a path whose folder is none, or may not be written to.

    Raises:
        HeadRankError: names the path as it was given.
    """
    parent = next(folder for folder in place.parents if os.path.lexists(folder))
    if not parent.is_dir():
        raise HeadRankError(f"{given}: {parent} is a file, not a folder; choose another path")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise HeadRankError(
            f"{given}: the folder {parent} may not be written to; choose one that you may write "
            "to, or correct its permissions"
        )


def check_checkpoint(folder: str | os.PathLike) -> None:
    """Refuse what cannot be a folder of checkpoints; it need not be there yet.

    Raises:
        HeadRankError: a file, or as `check_parent`.
    """
    place = Path(os.path.realpath(folder))
    if place.exists() and not place.is_dir():
        raise HeadRankError(f"{folder}: is a file; give the checkpoint a folder")
    check_parent(place / "any", folder)


def _same(one: str | os.PathLike, other: str | os.PathLike) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
