"""Sharing a saved ranker: its files and a model card, in one commit on the Hugging Face hub."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from headrank.errors import HeadRankError
from headrank.ranker.hub import REPOSITORY, is_folder
from headrank.ranker.model_card import README, check_results, model_card
from headrank.ranker.origin import ADAPTER, CARD, HEADS
from headrank.ranker.saved import read_card

_MESSAGE = "Share a ranker"
_OFFLINE = "HF_HUB_OFFLINE forbids to ask the hub; unset it where there is network"


def push_folder(
    folder: str | os.PathLike,
    repo: str,
    *,
    results: Iterable[Mapping[str, object]] = (),
    license: str | None = None,
    private: bool | None = None,
    message: str | None = None,
) -> str:
    """Put a saved ranker on the hub, in one commit; return that commit.

    A repository that is not there is made. Files that an earlier push left and this ranker does
    not have are deleted; the history keeps them. Weights of the base model are not pushed.

    Args:
        folder: what ``save_pretrained`` wrote.
        repo: ``owner/name``.
        results, license: for the model card, see `headrank.ranker.model_card.model_card`.
        private: whom a new repository shows itself to; None is the owner's setting.
        message: of the commit.

    Raises:
        HeadRankError: not a saved ranker, or a changed one; a name or results that cannot be
            used; a repository that holds something else, or is public where ``private`` is
            asked for; the hub refuses or cannot be reached.
    """
    folder, results = Path(folder), check_results(results)
    if not isinstance(repo, str) or not REPOSITORY.fullmatch(repo):
        raise HeadRankError(f"{repo!r}: not the name of a hub repository; write owner/name")
    if not (folder / CARD).is_file():
        raise HeadRankError(
            f"{folder}: no saved ranker ({CARD} is missing); give a folder that save_pretrained "
            "wrote"
        )
    card = _shared_card(read_card(folder))
    contents: dict[str, bytes | Path] = {name: folder / name for name in sorted(card["sha256"])}
    contents[CARD] = (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode()
    contents[README] = model_card(folder, card, repo, results, license).encode()
    import huggingface_hub

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise HeadRankError(f"{repo}: cannot be pushed: {_OFFLINE}")
    try:
        return _commit(repo, contents, private, message or _MESSAGE)
    except HeadRankError:
        raise
    # The hub's client lets errors of several HTTP libraries through.
    except Exception as error:
        raise HeadRankError(f"{repo}: cannot be pushed: {_why(error)}; no file was changed") from (
            error
        )


def _shared_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card without the place of the base model on this machine."""
    model = dict(card["model"])
    if is_folder(model["path"]):
        model["path"] = f"../{Path(model['path']).name.strip('.') or 'model'}"
    return {**card, "model": model}


def _commit(
    repo: str, contents: Mapping[str, bytes | Path], private: bool | None, message: str
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    hub = HfApi()
    hub.create_repo(repo, private=private, exist_ok=True)
    info = hub.model_info(repo)
    there = {file.rfilename for file in info.siblings or ()}
    others = sorted(there - {CARD, README, ".gitattributes"})
    if others and CARD not in there:
        raise HeadRankError(
            f"{repo}: holds files that are no saved ranker's ({others[0]}); push to a repository "
            "of its own"
        )
    if private and not info.private:
        raise HeadRankError(
            f"{repo}: is public, and `private` is asked for; change it on the hub first, or push "
            "to another repository"
        )
    ours = {name for name in there if name == HEADS or name.startswith(f"{ADAPTER}/")}
    changes = [
        *(CommitOperationDelete(name, is_folder=False) for name in sorted(ours - set(contents))),
        *(CommitOperationAdd(name, content) for name, content in contents.items()),
    ]
    # One commit, unlike upload_folder; with its parent named, none of another's gets lost.
    return hub.create_commit(repo, changes, commit_message=message, parent_commit=info.sha).oid


def _why(error: Exception) -> str:
    """Return in one line why the hub took nothing, and what to do."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if status in (401, 403):
        return f"the hub refuses it ({told}); log in with `hf auth login` as who may write there"
    if status in (409, 412):
        return f"it changed meanwhile ({told}); push again"
    return f"the hub does not take it ({told}); try again where there is network"
