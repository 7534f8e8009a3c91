"""Checkpoints of alignment: a killed run goes on as if it had never stopped."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from headrank.align import adapter as adapters
from headrank.align.places import DOCUMENTS, MADE, PAIRS, STATE, make_checkpoint, read_state
from headrank.errors import HeadRankError
from headrank.io.files import atomic, digest, write_json

_TENSORS = re.compile(r"alignment-\d{4}-\d{8}\.safetensors")
_EARLIER = re.compile(r"\d{4}-\d{8}\.safetensors")  # as earlier versions called them
# What `files.atomic` leaves of such a file when the process is killed.
_PARTS = re.compile(r"\.(checkpoint\.json|alignment-[-0-9]+\.safetensors)\.[a-z0-9_]+\.part")


@dataclass
class Progress:
    """Where a training run stands; all that a resumed run needs beside the tensors."""

    epoch: int = 0
    step: int = 0  # steps done within the epoch
    total: int = 0  # steps done in all
    best: float = -1.0
    best_epoch: int = -1
    log: list[dict] = field(default_factory=list)
    validation: list[dict] = field(default_factory=list)


@dataclass
class State:
    """All that a run goes on from.

    Attributes:
        adapter, best: the adapter's weights by name, now and after the best epoch.
        moments: AdamW's, ``{number of a parameter: {name: tensor}}``.
    """

    adapter: dict[str, torch.Tensor]
    best: dict[str, torch.Tensor]
    moments: dict[int, dict[str, torch.Tensor]]
    progress: Progress


class Checkpoint:
    """Files with the tensors, the optimiser's state and the progress of a run, in a folder.

    The folder may hold files of others; they are never touched.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Take a folder; nothing is written yet."""
        self.folder, self.fingerprint = folder, fingerprint
        self.before: str | None = None

    def save(self, state: State) -> None:
        """Write a whole new checkpoint, then drop the one before."""
        tensors = {f"now.{k}": v for k, v in state.adapter.items()}
        tensors |= {f"best.{k}": v for k, v in state.best.items()}
        for number, entry in state.moments.items():
            tensors |= {
                f"adam.{number}.{k}": v.reshape(-1) if v.dim() == 0 else v for k, v in entry.items()
            }
        # The epoch's end is saved after its last step: a file of that step stays whole until
        # checkpoint.json names the new one.
        name = f"alignment-{state.progress.epoch:04d}-{state.progress.total:08d}"
        make_checkpoint(self.folder)
        with atomic(self.folder / f"{name}.safetensors") as temporary:
            adapters.save_tensors(temporary, tensors)
        card = {
            "fingerprint": self.fingerprint,
            "tensors": f"{name}.safetensors",
            "sha256": digest(self.folder / f"{name}.safetensors"),
            "progress": asdict(state.progress),
        }
        write_json(self.folder / STATE, card)
        self._drop_tensors(keep=card["tensors"])

    def load(self) -> State | None:
        """Return the state that was saved; None if there is none.

        Raises:
            HeadRankError: the checkpoint is damaged or of other settings.
        """
        if not (self.folder / STATE).is_file():
            return None
        card = read_state(self.folder)
        self.before = card["tensors"]
        path = self.folder / card["tensors"]
        if card["fingerprint"] != self.fingerprint:
            raise _other(self.folder)
        if not path.is_file() or digest(path) != card["sha256"]:
            raise HeadRankError(
                f"{path}: the checkpoint is damaged; delete {self.folder / STATE} to start anew"
            )
        tensors = adapters.load_tensors(path)
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, values in _part(tensors, "adam.").items():
            number, name = key.split(".", 1)
            moments.setdefault(int(number), {})[name] = (
                values.reshape(()) if name == "step" else values
            )
        return State(
            adapter=_part(tensors, "now."),
            best=_part(tensors, "best."),
            moments=moments,
            progress=Progress(**card["progress"]),
        )

    def remove(self) -> None:
        """Delete the files of a finished run's checkpoint.

        The folder goes with them if it was made here and nothing else is in it.
        """
        if not self.folder.is_dir():
            return
        # The state goes first: without its tensors it would be taken for a damaged one.
        (self.folder / STATE).unlink(missing_ok=True)
        self._drop_tensors()
        shutil.rmtree(self.folder / DOCUMENTS, ignore_errors=True)
        shutil.rmtree(self.folder / PAIRS, ignore_errors=True)
        if (self.folder / MADE).exists():
            (self.folder / MADE).unlink()
            with contextlib.suppress(OSError):  # other files, or a folder that is kept for us
                self.folder.rmdir()

    def _drop_tensors(self, keep: str | None = None) -> None:
        """Delete tensors of earlier states, and what a kill left of them."""
        for path in self.folder.iterdir():
            earlier = path.name == self.before and _EARLIER.fullmatch(path.name)
            ours = earlier or _TENSORS.fullmatch(path.name)
            if _PARTS.fullmatch(path.name) or (ours and path.name != keep):
                path.unlink()


def check_settings(folder: Path, settings: dict) -> None:
    """Refuse a checkpoint of other settings than these, as far as they are known by now.

    Args:
        settings: of `headrank.align.fingerprint.settings`.

    Raises:
        HeadRankError: as `Checkpoint.load`.
    """
    if not (folder / STATE).is_file():
        return
    try:
        made = json.loads(read_state(folder)["fingerprint"])
    except ValueError:
        made = {}
    if any(key not in made or made[key] != value for key, value in settings.items()):
        raise _other(folder)


def _other(folder: Path) -> HeadRankError:
    return HeadRankError(
        f"{folder}: the checkpoint was written with other settings, heads, data, model, code or "
        f"package versions; delete {folder / STATE} to start anew"
    )


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
