"""Folders that training writes to, checked before anything is loaded (nothing of torch here)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from headrank.errors import HeadRankError
from headrank.io.files import read_json, told
from headrank.io.folders import ADAPTER, check_replaceable
from headrank.io.targets import check_checkpoint

STATE = "checkpoint.json"
DOCUMENTS = "alignment-documents"
"""Of a checkpoint: what a training of the query's tokens alone encoded."""
PAIRS = "alignment-pairs"
"""Of a checkpoint: the lists that were read to mine pairs."""
MADE = ".alignment-made"
"""In a checkpoint's folder that alignment made, and removes at its end."""

_KEYS = {"fingerprint", "tensors", "sha256", "progress"}


@dataclass(frozen=True)
class Folders:
    """Where training writes.

    Attributes:
        target: the adapter.
        checkpoint: a killed run goes on from here, with the same result as an unbroken one. Its
            own files are removed at the end, and it with them if nothing else is in it and
            training made it.
    """

    target: str | os.PathLike
    checkpoint: str | os.PathLike | None = None

    def check(self) -> None:
        """Refuse folders that training could not use at its end.

        Links and ``..`` are followed before the two are compared.

        Raises:
            HeadRankError: as `headrank.io.folders.check_replaceable`; one folder is or holds the
                other; the checkpoint is a file, or its state is none of ours.
        """
        check_replaceable(self.target, ADAPTER)
        if self.checkpoint is None:
            return
        one, other = (Path(os.path.realpath(path)) for path in (self.target, self.checkpoint))
        if one.is_relative_to(other) or other.is_relative_to(one):
            raise HeadRankError(
                f"the adapter's folder {self.target} and the checkpoint's folder "
                f"{self.checkpoint} are one or lie in each other; give each a folder of its own"
            )
        check_checkpoint(self.checkpoint)
        if (other / STATE).exists():
            read_state(other)


def make_checkpoint(folder: Path) -> None:
    """Make a checkpoint's folder, and note that it is ours, if it is not there.

    Raises:
        HeadRankError: it cannot be made.
    """
    if not folder.exists():
        with told(folder):
            folder.mkdir(parents=True)
            (folder / MADE).touch()


def read_state(folder: Path) -> dict:
    """Return the state that a checkpoint's folder holds.

    Raises:
        HeadRankError: it is not one that alignment wrote.
    """
    state = read_json(folder / STATE)
    if not (isinstance(state, dict) and state.keys() >= _KEYS and _plain(state["tensors"])):
        raise HeadRankError(
            f"{folder / STATE}: not a checkpoint of alignment; give the checkpoint another folder"
        )
    return state


def _plain(name: object) -> bool:
    """Return whether a file's name stays in its folder."""
    return isinstance(name, str) and os.path.basename(name) == name and name not in ("", ".", "..")
