"""Saved rankers on the Hugging Face hub: what of them is fetched, and their base model."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrank.errors import HeadRankError
from headrank.models.safe_loading import TIMEOUT, find
from headrank.ranker.origin import ADAPTER, CARD, HEADS
from headrank.sources.huggingface import NEEDED

REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
SMALL = (CARD, HEADS, f"{ADAPTER}/*")


def fetch_ranker(path_or_id: str | os.PathLike, revision: str | None) -> Path | None:
    """Return the folder of a saved ranker that the hub holds; None for anything else.

    Only the ranker's own small files are fetched. Where the hub cannot be asked, its cache is
    taken.

    Raises:
        HeadRankError: the hub has no repository of that name or cannot be asked, and the cache
            holds none.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    name = os.fspath(path_or_id)
    if Path(name).exists() or not REPOSITORY.fullmatch(name):
        return None
    if find(name, "model or saved ranker", revision, marks=("config.json", CARD)):
        cached = try_to_load_from_cache(name, CARD, revision=revision)
        return Path(cached).parent if isinstance(cached, str) else None
    try:
        info = HfApi().model_info(name, revision=revision, timeout=TIMEOUT)
        if CARD not in {file.rfilename for file in info.siblings or ()}:
            return None
    except Exception as error:
        raise HeadRankError(_failed(name, "saved ranker", error)) from None
    return _snapshot(name, revision, SMALL, "saved ranker", {})


def shared_base(name: str, card: Mapping[str, Any]) -> str:
    """Return the base model that the card of a fetched ranker names: a repository, or a folder.

    A folder of whoever pushed it is fetched anew from where it came, at that commit; weights of
    the same bytes have the same digest.

    Raises:
        HeadRankError: the card names no repository, or the hub does not give it.
    """
    noted, origin = card["model"]["path"], card["model"].get("origin")
    if not is_folder(noted):
        return noted
    if not isinstance(origin, str) or " at " not in origin:
        raise HeadRankError(
            f"{name}: its base model was the folder {Path(noted).name!r} of who pushed it, which "
            "is on no hub that is known; give its folder with `model` (on the command line: --base)"
        )
    repository, _, commit = origin.partition(" at ")
    told = find(repository, "base model", commit)
    return str(_snapshot(repository, commit, NEEDED, "base model", told))


def is_folder(noted: str) -> bool:
    """Return whether a card's base model is a path, not a hub's repository."""
    return noted in (".", "..") or noted.startswith(("../", "./", "/"))


def cached_origin(folder: Path) -> str | None:
    """Return repository and commit of a folder in the hub's cache; None for another folder."""
    owner = folder.parent.parent.name
    if folder.parent.name != "snapshots" or not owner.startswith("models--"):
        return None
    return f"{owner.removeprefix('models--').replace('--', '/')} at {folder.name}"


def _snapshot(
    name: str, revision: str | None, files: Sequence[str], what: str, told: Mapping[str, Any]
) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(files), **told))
    # The hub's client lets errors of several HTTP libraries through.
    except Exception as error:
        raise HeadRankError(_failed(name, what, error)) from None


def _failed(name: str, what: str, error: Exception) -> str:
    first = str(error).partition("\n")[0][:200]
    return (
        f"{name}: the {what} cannot be fetched from the hub ({type(error).__name__}: {first}); try "
        "again where there is network (what came is kept)"
    )
