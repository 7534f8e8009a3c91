"""Files of a GitHub repository, pinned by commit and hash."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping

from headrank.errors import HeadRankError
from headrank.io.files import check_sha256
from headrank.io.folders import atomic_dir
from headrank.sources.huggingface import check_commit

RAW = "https://raw.githubusercontent.com"
TIMEOUT = 60
"""Seconds without an answer."""


def fetch_github(
    repository: str,
    revision: str,
    files: Mapping[str, str],
    target_dir: str | os.PathLike,
    address: str | None = None,
) -> None:
    """Bring some files of a repository to a folder, whole or not at all.

    Args:
        repository: ``owner/name``.
        revision: a commit, 40 hexadecimal digits.
        files: ``{path in the repository: SHA-256}``; paths are kept below the folder.
        target_dir: made when every file is there; it may be absent or empty.
        address: of the server; None takes GitHub's.

    Raises:
        HeadRankError: the revision is not a commit, a file cannot be fetched, or it has
            another hash.
    """
    check_commit(repository, revision)
    with atomic_dir(target_dir) as folder:
        for path, pinned in files.items():
            place = folder / path
            if not place.resolve().is_relative_to(folder.resolve()):
                raise HeadRankError(f"{repository}: {path!r} would be written outside the target")
            place.parent.mkdir(parents=True, exist_ok=True)
            url = f"{address or RAW}/{repository}/{revision}/{path}"
            try:
                with (
                    urllib.request.urlopen(url, timeout=TIMEOUT) as answer,
                    open(place, "wb") as file,
                ):
                    shutil.copyfileobj(answer, file, 1 << 20)
            except (
                urllib.error.URLError,
                http.client.HTTPException,
                TimeoutError,
                ConnectionError,
            ) as error:
                raise HeadRankError(
                    f"{url}: cannot be fetched ({error}); run it where there is network, or give "
                    "a folder in the workflow's layout as the source (kind: local, path)"
                ) from None
            check_sha256(place, pinned, f"{url} is not the file that was pinned")
