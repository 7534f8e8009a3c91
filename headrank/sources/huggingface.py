"""Files of a model or data set on the Hugging Face hub, pinned by commit."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from headrank.errors import HeadRankError
from headrank.io.folders import check_replaceable, finish_folder, put_in_place

# What transformers needs to load a model and its tokenizer; other weight formats stay away.
NEEDED = ("*.safetensors", "*.json", "*.jinja", "tokenizer*", "merges.txt", "vocab.txt", "LICENSE*")
COMMIT = re.compile(r"[0-9a-f]{40}")
REQUIRED = ("*.safetensors", "config.json", "tokenizer*")


def fetch_huggingface(
    repository: str,
    revision: str,
    target_dir: str | os.PathLike,
    files: Sequence[str] | None = None,
    *,
    dataset: bool = False,
    kind: str | None = None,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Bring a repository's files to a folder, whole or not at all.

    The commit pins the contents. An interrupted download is continued by the next call.

    Args:
        repository: ``owner/name``.
        revision: a commit, 40 hexadecimal digits.
        target_dir: made when the download is whole; it may be what
            `headrank.io.folders.check_replaceable` allows for ``kind``.
        files: names or patterns; None takes a model's safetensors, configuration and
            tokenizer.
        dataset: the repository is one of data sets, which have names of their own.
        kind: what the folder holds; None replaces nothing but an empty folder.
        finish: adds to the folder before it takes its name.

    Raises:
        HeadRankError: the revision is not a commit, the hub cannot be reached or does not
            have it, or a file asked for is not in the repository.
    """
    check_commit(repository, revision)
    target = check_replaceable(target_dir, kind)
    # Kept when the download breaks, so that gigabytes need not come twice.
    staging = target.parent / f".{target.name}.{revision[:12]}.part"
    staging.mkdir(parents=True, exist_ok=True)
    _download(repository, revision, staging, NEEDED if files is None else files, target, dataset)
    shutil.rmtree(staging / ".cache", ignore_errors=True)
    names = sorted(p.relative_to(staging).as_posix() for p in staging.rglob("*") if p.is_file())
    for pattern in REQUIRED if files is None else files:
        if not fnmatch.filter(names, pattern):
            raise HeadRankError(
                f"{repository} at {revision}: no file {pattern!r} came; what came: "
                f"{', '.join(names) or 'nothing'}; correct `files` or choose another repository"
            )
    if finish is not None:
        finish(staging)
    finish_folder(staging, kind)
    put_in_place(staging, target, kind)


def check_commit(repository: str, revision: str) -> None:
    """Refuse a revision that can move."""
    if not COMMIT.fullmatch(revision):
        raise HeadRankError(
            f"{repository}: revision {revision!r} is not a commit of 40 hexadecimal digits; a "
            "branch or tag can move, and with it every result: give the commit's hash, shown "
            "under the repository's 'Files and versions' or commits"
        )


def _download(
    repository: str,
    revision: str,
    staging: Path,
    wanted: Sequence[str],
    target: Path,
    dataset: bool,
) -> None:
    """Call the hub; every failure becomes an error that tells what to do."""
    what = "collection" if dataset else "model"
    remedy = (
        "run the fetch where there is network (the part that came is kept) and copy "
        f"{target} here, or give a folder that holds the {what} as its source (kind: local, path)"
    )
    hub = _hub()
    try:
        hub.snapshot_download(
            repo_id=repository,
            revision=revision,
            repo_type="dataset" if dataset else "model",
            local_dir=staging,
            allow_patterns=list(wanted),
        )
    # The hub's client lets errors of several HTTP libraries through.
    except Exception as error:
        kind = type(error).__name__
        if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError"):
            raise HeadRankError(
                f"{repository} at {revision}: the hub refuses it ({kind}); check the name and the "
                f"commit, or accept the {what}'s licence and log in with `hf auth login`"
            ) from error
        raise HeadRankError(
            f"{repository} at {revision}: cannot be fetched ({kind}: {str(error)[:200]}); {remedy}"
        ) from error


def _hub() -> ModuleType:
    """Return huggingface_hub, an optional dependency."""
    try:
        import huggingface_hub
    except ImportError:
        raise HeadRankError(
            "sources on the Hugging Face hub need the package huggingface_hub; run "
            "`pip install huggingface_hub`"
        ) from None
    return huggingface_hub
