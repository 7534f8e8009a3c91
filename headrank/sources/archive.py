"""Members of wheels, zip files and tar archives, read without unpacking the rest."""

from __future__ import annotations

import contextlib
import difflib
import gzip
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from headrank.errors import HeadRankError
from headrank.io.files import atomic, check_sha256
from headrank.io.folders import atomic_dir

ZIPS = (".whl", ".zip")
TARS = (".tar.gz", ".tgz", ".tar")


def open_member(archive: str | os.PathLike, member: str) -> bytes:
    """Return the bytes of one member of a wheel, zip file or tar archive.

    Raises:
        HeadRankError: the archive is missing or damaged, or has no such file; the message
            lists the members with the nearest names.
    """
    with _opened(Path(archive)) as contents:
        return contents.read(member)


def extract_member(
    archive: str | os.PathLike, member: str, target: str | os.PathLike, sha256: str | None = None
) -> None:
    """Write one member to ``target``, whole or not at all; the rest is not unpacked.

    The member's own path plays no part in where it goes.

    Args:
        archive: a wheel, zip file or tar archive.
        member: the full name inside the archive.
        target: the file to write.
        sha256: the member's pinned hash, checked before the target appears.

    Raises:
        HeadRankError: as `open_member`, or another hash.
    """
    with atomic(target) as temporary:
        with _opened(Path(archive)) as contents:
            contents.copy(member, temporary)
        if sha256 is not None:
            check_sha256(temporary, sha256, f"{member} of {archive} is not the one pinned")


def join_members(
    parts: Sequence[tuple[str | os.PathLike, str]], target: str | os.PathLike, sha256: str
) -> None:
    """Write a file that was split over several archives, whole or not at all.

    Args:
        parts: (archive, member) in the order in which their bytes follow each other.
        target: the file to write.
        sha256: of the joined file; only it tells that no part is missing or out of place.

    Raises:
        HeadRankError: as `open_member`, or another hash.
    """
    with atomic(target) as temporary:
        with open(temporary, "wb") as file:
            for archive, member in parts:
                with _opened(Path(archive)) as contents, contents.stream(member) as source:
                    shutil.copyfileobj(source, file, 1 << 20)
        names = ", ".join(member for _, member in parts)
        check_sha256(
            temporary,
            sha256,
            f"{Path(target).name} was joined from {names}: list every part, in the file's order",
        )


def extract_folder(
    archive: str | os.PathLike, prefix: str, target_dir: str | os.PathLike
) -> list[str]:
    """Write all files under a folder of the archive; return their names inside the target.

    Raises:
        HeadRankError: as `open_member`; also a name that would leave the target, or a link.
    """
    prefix = prefix.rstrip("/") + "/"
    with _opened(Path(archive)) as contents:
        members = [name for name in contents.names() if name.startswith(prefix)]
        if not members:
            raise contents.missing(prefix)
        with atomic_dir(target_dir) as temporary:
            for member in members:
                place = PurePosixPath(member[len(prefix) :])
                if place.is_absolute() or ".." in place.parts or "\\" in member:
                    raise HeadRankError(
                        f"{archive}: member {member!r} would be written outside {target_dir}; "
                        "do not use this archive"
                    )
                path = temporary / place
                path.parent.mkdir(parents=True, exist_ok=True)
                contents.copy(member, path)
    return sorted(member[len(prefix) :] for member in members)


class _Archive:
    """One face for zip files and tar archives: the names of plain files, and their bytes."""

    def __init__(self, path: Path, handle: zipfile.ZipFile | tarfile.TarFile) -> None:
        self.path = path
        self.handle = handle

    def names(self) -> list[str]:
        """Return the names of all plain files; folders and links are left out."""
        if isinstance(self.handle, zipfile.ZipFile):
            return [entry.filename for entry in self.handle.infolist() if not entry.is_dir()]
        return [entry.name for entry in self.handle.getmembers() if entry.isfile()]

    def stream(self, member: str) -> IO[bytes]:
        """Return an open file of a member's bytes."""
        if member.endswith("/"):
            raise self.missing(member)
        try:
            if isinstance(self.handle, zipfile.ZipFile):
                return self.handle.open(member)
            entry = self.handle.getmember(member)
        except KeyError:
            raise self.missing(member) from None
        # A link could point at any file of this machine; only plain files are data.
        if not entry.isfile():
            raise HeadRankError(f"{self.path}: member {member!r} is not a plain file")
        return self.handle.extractfile(entry)

    def read(self, member: str) -> bytes:
        """Return a member's bytes."""
        with self.stream(member) as source:
            return source.read()

    def copy(self, member: str, path: Path) -> None:
        """Write a member's bytes to a file, a block at a time."""
        with self.stream(member) as source, open(path, "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)

    def missing(self, member: str) -> HeadRankError:
        """Return the error for a member that is not there, with the nearest names."""
        names = self.names()
        same = [name for name in names if PurePosixPath(name).name == PurePosixPath(member).name]
        near = same or difflib.get_close_matches(member, names, n=5, cutoff=0.4) or names
        return HeadRankError(
            f"{self.path}: no member {member!r} among {len(names)} files; nearest: "
            f"{', '.join(near[:5]) or 'none'}"
        )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    """Yield an open archive; errors of its format become errors for the user."""
    if not path.is_file():
        raise HeadRankError(f"{path}: no such archive; fetch it first or put it there by hand")
    is_zip = path.name.endswith(ZIPS)
    if not is_zip and not path.name.endswith(TARS):
        raise HeadRankError(
            f"{path}: not an archive that can be read; known endings: {', '.join(ZIPS + TARS)}"
        )
    damaged = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
    try:
        with (zipfile.ZipFile if is_zip else tarfile.open)(path) as handle:
            yield _Archive(path, handle)
    except damaged as error:
        raise HeadRankError(
            f"{path}: the archive cannot be read ({error}); remove it and fetch it again"
        ) from error
