"""Text from anywhere: UTF-8 with or without a mark, plain or gzip; all else is refused by name."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import sys
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from headrank.errors import HeadRankError, brief

MARK = b"\xef\xbb\xbf"
"""UTF-8's byte order mark. Windows programs write it; it is no part of the text."""

_OTHER_UNICODE = {  # the longer marks first: UTF-32's begins with UTF-16's
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_GZIP = b"\x1f\x8b"
_PACKED = {
    b"PK\x03\x04": "zip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
}
_BZIP2_BLOCK = b"1AY&SY"

# Invisible alone: controls, formats (U+200B, U+FEFF, U+2060, U+00AD) and white space by category,
# and what Unicode's Default_Ignorable_Code_Point adds to them: fillers and variation selectors.
_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_FILLERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class JsonRefused(ValueError):
    """Well-formed JSON that two readers would take in two ways; the message holds the remedy.

    Attributes:
        key: the key that is given twice, None for another fault.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def local_path(path: str | os.PathLike) -> str:
    """Return the path with a leading ``~`` as the home folder, as a shell would give it."""
    return os.path.expanduser(path)


@contextmanager
def open_bytes(path: str | os.PathLike, stdin: bool = False) -> Iterator[BinaryIO]:
    """Yield the bytes of a text file, unpacked if gzip packed it, the mark in front read away.

    Args:
        path: a leading ``~`` is the home folder.
        stdin: ``-`` is the standard input.

    Raises:
        HeadRankError: missing, a folder, not readable, UTF-16 or UTF-32, or packed in another
            way than by gzip.
    """
    if stdin and path == "-":
        file = io.BufferedReader(sys.stdin.buffer)
        try:
            yield _text_of(file, "<stdin>")
        finally:
            file.detach()  # the standard input stays open
        return
    try:
        file = open(local_path(path), "rb")
    except FileNotFoundError:
        raise HeadRankError(f"{path}: no such file, so it cannot be read") from None
    except IsADirectoryError:
        raise HeadRankError(f"{path}: this is a folder; give the path of a file") from None
    except NotADirectoryError:
        above = next((part for part in Path(path).parents if part.is_file()), path)
        raise HeadRankError(f"{above}: is a file; give a folder") from None
    except OSError as error:
        raise HeadRankError(f"{path}: cannot be read ({error.strerror})") from None
    with file:
        yield _text_of(file, path)


def _text_of(file: io.BufferedReader, name: str | os.PathLike) -> BinaryIO:
    """Return the stream behind the marks and the packing that stand at its start."""
    if file.peek(2).startswith(_GZIP):
        try:
            file = io.BufferedReader(gzip.open(file))
            head = file.peek(16)[:16]
        except (OSError, EOFError, zlib.error) as error:
            raise _damaged(name, error) from None
    else:
        head = file.peek(16)[:16]
    for mark, encoding in _OTHER_UNICODE.items():
        if head.startswith(mark):
            raise _not_utf8(name, encoding)
    # Without a mark: half of each character of Latin text is a zero byte.
    if b"\x00" in head[:2]:
        raise _not_utf8(name, "UTF-16 or UTF-32")
    for magic, packing in _PACKED.items():
        if head.startswith(magic) and (packing != "bzip2" or head[4:10] == _BZIP2_BLOCK):
            raise HeadRankError(f"{name}: packed by {packing}; unpack it, or pack it by gzip")
    if head.startswith(MARK):
        file.read(len(MARK))
    return file


def _not_utf8(name: str | os.PathLike, encoding: str) -> HeadRankError:
    return HeadRankError(f"{name}: not UTF-8 but {encoding}; convert the file to UTF-8")


def _damaged(name: str | os.PathLike, error: Exception) -> HeadRankError:
    return HeadRankError(f"{name}: damaged gzip file ({error}); make or fetch it again")


def read_bytes(path: str | os.PathLike) -> bytes:
    """Return a text file's bytes as `open_bytes` gives them.

    Raises:
        HeadRankError: as `open_bytes`, or a damaged gzip file.
    """
    with open_bytes(path) as file:
        try:
            return file.read()
        except (OSError, EOFError, zlib.error) as error:
            raise _damaged(path, error) from None


def read_text(path: str | os.PathLike) -> str:
    """Return a text file's content.

    Raises:
        HeadRankError: as `read_bytes`, or a line that is not UTF-8; the message names it.
    """
    data = read_bytes(path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise HeadRankError(
            f"{path}:{line}: not UTF-8 ({error}); convert the file to UTF-8"
        ) from None


def byte_lines(path: str | os.PathLike, stdin: bool = False) -> Iterator[tuple[int, bytes]]:
    r"""Yield ``(line number, bytes)``; lines end in ``\n``, ``\r\n`` or ``\r``.

    Numbers count from 1. A mark at the start of a line is read away: it stands there where
    marked files were joined.

    Raises:
        HeadRankError: as `read_bytes`.
    """
    number = 0
    with open_bytes(path, stdin) as file:
        try:
            for raw in file:
                for line in (raw,) if b"\r" not in raw else raw.splitlines(keepends=True):
                    number += 1
                    yield number, line.removeprefix(MARK)
        except (OSError, EOFError, zlib.error) as error:
            raise _damaged(path, error) from None


def text_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, line)`` of a text file.

    Raises:
        HeadRankError: as `read_text`.
    """
    for number, raw in byte_lines(path):
        try:
            yield number, raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise HeadRankError(
                f"{path}:{number}: not UTF-8 ({error}); convert the file to UTF-8"
            ) from None


def strict_json(text: str) -> object:
    """Return the value of JSON that every reader takes in the same way.

    Raises:
        ValueError: not JSON, NaN or Infinity, nested too deeply, or a number without end.
        JsonRefused: a key given twice in one object, or half of a surrogate pair.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (json.JSONDecodeError, JsonRefused):
        raise
    except ValueError as error:
        # Python's own words tell how to lift its limit; the file is what is wrong.
        found = re.search(r"has (\d+) digits", str(error))
        raise ValueError(f"a number of {found[1]} digits" if found else str(error)) from None
    if "\\u" in text and _SURROGATE_ESCAPE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start].encode("unicode_escape").decode()
            raise JsonRefused(
                f"holds half of a surrogate pair ({half}), which is no text; repair the "
                "input's encoding"
            ) from None
    return value


def fault_line(text: str, error: ValueError) -> int | None:
    """Return the line of a JSON text that `strict_json` refused for ``error``, if it is known."""
    if isinstance(error, json.JSONDecodeError):
        return error.lineno
    if not isinstance(error, JsonRefused):
        return None
    place = None
    if error.key is not None:
        place = _Placing().second(text, error.key)
    elif found := _SURROGATE_ESCAPE.search(text):
        place = found.start()
    return None if place is None else text.count("\n", 0, place) + 1


class _Placing(json.JSONDecoder):
    """Finds the object that gives a key twice: the fast decoder does not tell where it was."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_unique)
        self.start: int | None = None
        self.parse_object = self._object
        self.scan_once = json.scanner.py_make_scanner(self)

    def _object(self, place: tuple[str, int], *rest: object) -> object:
        try:
            return json.decoder.JSONObject(place, *rest)
        except JsonRefused:
            if self.start is None:
                self.start = place[1]
            raise

    def second(self, text: str, key: str) -> int | None:
        """Return where the key stands for the second time in its object."""
        with suppress(ValueError, RecursionError):
            self.decode(text)
        if self.start is None:
            return None
        name = re.compile(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:")
        places = [found.start() for found in name.finditer(text, self.start)]
        return places[1] if len(places) > 1 else self.start


def _unique(pairs: list[tuple[str, object]]) -> dict:
    """Return the object of its members, each of another name."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        key = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise JsonRefused(f"the key '{brief(key)}' is given twice; keep one", key)
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def is_blank(text: str) -> bool:
    """Return whether nothing of a text can be seen: white space, controls and formats alone."""
    first = text[:1]
    if first.isascii() and first.isalnum():  # nearly every text, told by its first character
        return False
    return all(
        unicodedata.category(character) in _INVISIBLE or character in _FILLERS
        for character in text.strip()
    )


def half_pair(text: str) -> int | None:
    """Return the place of the first half of a surrogate pair, which UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def normalised(text: str) -> str:
    """Return a query's text as it is compared between roles: case-folded, single spaces."""
    return " ".join(text.casefold().split())
