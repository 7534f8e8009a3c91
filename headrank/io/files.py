"""Files that appear whole or not at all, and digests of what they hold."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from headrank.errors import HeadRankError, HostFault
from headrank.io import texts
from headrank.io.targets import Target, file_target

CHUNK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)


@contextlib.contextmanager
def told(target: str | os.PathLike) -> Iterator[None]:
    """Turn what the system says of a place that takes no file into an error with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise HostFault(
                f"{target}: cannot be written, the disk, quota or size limit is reached "
                f"({error.strerror}); free space and run again, nothing half-written is left"
            ) from None
        if error.errno in _CLOSED:
            raise HostFault(
                f"{error.filename or target}: cannot be written or read ({error.strerror}); "
                "choose a folder that you may write to, or correct its permissions"
            ) from None
        if error.errno in _NO_FOLDER:
            raise HostFault(
                f"{target}: {error.filename or target} is a file, not a folder; choose another path"
            ) from None
        raise


_UMASK = threading.Lock()


def file_mode() -> int:
    """Return the mode of a new file under this process's umask."""
    with _UMASK:  # of the whole process: two threads would leave it at 0
        umask = os.umask(0)
        os.umask(umask)
    return 0o666 & ~umask


@contextlib.contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path; what the block writes there becomes the target at the end.

    The temporary file lies in the target's folder and is renamed over it. If the block
    raises, it is removed and the target stays as it was. The data is flushed to disk before
    the rename, so a power cut leaves the old file or the new one, never half of one. A
    symbolic link is kept: the file that it names is replaced. A device, a pipe or an open
    descriptor (``/dev/null``, a FIFO, ``/dev/stdout``) is never replaced but written to, once
    the block is done.

    Raises:
        HeadRankError: the disk is full, the folder may not be written to, or the target is no
            file that can be written (`headrank.io.targets.file_target`).
    """
    target = file_target(path)
    with told(path):
        if target.through:
            with _written_through(target) as temporary:
                yield temporary
        else:
            with _renamed_file(Path(target.place)) as temporary:
                yield temporary


@contextlib.contextmanager
def _renamed_file(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes files private; a result is as readable as any new file.
        temporary.chmod(file_mode())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _written_through(target: Target) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "output"
        temporary.touch()
        yield temporary
        # Neither created nor cut: it is there, and belongs to somebody else.
        handle = (
            os.open(target.place, os.O_WRONLY)
            if isinstance(target.place, str)
            else os.dup(target.place)
        )
        with open(temporary, "rb") as source, open(handle, "wb") as file:
            shutil.copyfileobj(source, file, CHUNK)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write indented JSON with a final newline; keys keep their order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike) -> object:
    """Return the JSON value of a file; see `headrank.io.texts` for what is read and refused.

    Raises:
        HeadRankError: the file is missing, is not JSON, or gives a key twice.
    """
    data = texts.read_bytes(path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HeadRankError(f"{path}: not valid JSON ({error}); make it anew") from None
    try:
        return texts.strict_json(text)
    except texts.JsonRefused as error:
        line = texts.fault_line(text, error)
        raise HeadRankError(f"{path}:{line}: {error}" if line else f"{path}: {error}") from None
    except ValueError as error:
        raise HeadRankError(f"{path}: not valid JSON ({error}); make it anew") from None


def write_jsonl(path: str | os.PathLike, records: Iterable[dict]) -> None:
    """Write one JSON object a line, whole or not at all.

    Raises:
        HeadRankError: as `atomic`, or a text that UTF-8 cannot hold.
    """
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for number, record in enumerate(records, start=1):
            try:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            except UnicodeEncodeError as error:
                raise HeadRankError(
                    f"{path}: record {number} ({record!r:.80}) holds half of a surrogate pair at "
                    f"character {error.start}, which is no text; repair the source's encoding"
                ) from None


def read_jsonl(path: str | os.PathLike, stdin: bool = False) -> Iterator[tuple[int, dict]]:
    """Yield ``(line number, object)`` for each non-empty line; numbers count from 1.

    Args:
        path: plain or packed by gzip.
        stdin: ``-`` is the standard input.

    Raises:
        HeadRankError: a line is not UTF-8 or not a JSON object, or gives a key twice; the
            message names it.
    """
    name = "<stdin>" if stdin and path == "-" else path
    for number, raw in texts.byte_lines(path, stdin):
        if not raw.strip():
            continue
        try:
            record = texts.strict_json(raw.decode("utf-8"))
        except texts.JsonRefused as error:
            raise HeadRankError(f"{name}:{number}: {error}") from None
        except ValueError as error:  # also what is not UTF-8
            raise HeadRankError(f"{name}:{number}: not a line of JSON in UTF-8 ({error})") from None
        if not isinstance(record, dict):
            raise HeadRankError(
                f"{name}:{number}: expected a JSON object, found {type(record).__name__}"
            )
        yield number, record


def folder_of(path: str | os.PathLike) -> Path:
    """Return the folder that a path names: itself, or by a file in it."""
    path = Path(path)
    return path if path.is_dir() else path.parent


def cards(paths: Iterable[str | os.PathLike], name: str) -> dict[str, Path]:
    """Return the card ``name`` of each folder that a path names, by the folder's own name."""
    return {folder.name: folder / name for folder in map(folder_of, paths)}


def sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    result = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            result.update(block)
    return result.hexdigest()


def digest(*paths: str | os.PathLike) -> str:
    """Return a 16-digit digest of several files' contents, in the order given."""
    result = hashlib.sha256()
    for path in paths:
        result.update(sha256(path).encode())
    return result.hexdigest()[:16]


def json_sha256(value: object) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def check_sha256(path: str | os.PathLike, expected: str, remedy: str) -> None:
    """Refuse a file whose SHA-256 is not the pinned one.

    Raises:
        HeadRankError: names the file, both sums and the remedy.
    """
    found = sha256(path)
    if found != expected:
        raise HeadRankError(f"{path}: SHA-256 is {found}, pinned is {expected}; {remedy}")


def utc(seconds: float) -> str:
    """Return a time since the epoch as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
