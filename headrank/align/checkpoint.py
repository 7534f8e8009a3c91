"""Checkpoints of alignment: a killed run goes on as if it had never stopped."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from headrank.align import adapter as adapters
from headrank.errors import HeadRankError
from headrank.files import atomic, digest, read_json, write_json

if TYPE_CHECKING:
    from headrank.align.train import Training


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


class Checkpoint:
    """A folder with the tensors, the optimiser's state and the progress of a run."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint

    def save(self, run: Training) -> None:
        """Write a whole new checkpoint, then drop the one before."""
        tensors = {f"now.{k}": v for k, v in adapters.adapter_state(run.wrapped).items()}
        tensors |= {f"best.{k}": v for k, v in run.best_state.items()}
        moments = run.optimiser.state_dict()["state"]
        for number, entry in moments.items():
            tensors |= {
                f"adam.{number}.{k}": v.reshape(-1) if v.dim() == 0 else v for k, v in entry.items()
            }
        # The epoch's end is saved after its last step: a file of that step stays whole until
        # checkpoint.json names the new one.
        name = f"{run.progress.epoch:04d}-{run.progress.total:08d}"
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic(self.folder / f"{name}.safetensors") as temporary:
            adapters.save_tensors(temporary, tensors)
        state = {
            "fingerprint": self.fingerprint,
            "tensors": f"{name}.safetensors",
            "sha256": digest(self.folder / f"{name}.safetensors"),
            "progress": asdict(run.progress),
        }
        write_json(self.folder / "checkpoint.json", state)
        for old in self.folder.glob("*.safetensors"):
            if old.name != state["tensors"]:
                old.unlink()

    def load_into(self, run: Training) -> None:
        """Continue from the checkpoint, if there is one.

        Raises:
            HeadRankError: the checkpoint is damaged or of other settings.
        """
        if not (self.folder / "checkpoint.json").is_file():
            return
        state = read_json(self.folder / "checkpoint.json")
        path = self.folder / state["tensors"]
        if state["fingerprint"] != self.fingerprint:
            raise HeadRankError(
                f"{self.folder}: the checkpoint was written with other settings, heads, data, code "
                "or package versions; delete the folder to start anew"
            )
        if not path.is_file() or digest(path) != state["sha256"]:
            raise HeadRankError(f"{path}: the checkpoint is damaged; delete {self.folder}")
        tensors = adapters.load_tensors(path)
        adapters.restore_state(run.wrapped, _part(tensors, "now."))
        run.best_state = _part(tensors, "best.")
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, values in _part(tensors, "adam.").items():
            number, name = key.split(".", 1)
            moments.setdefault(int(number), {})[name] = (
                values.reshape(()) if name == "step" else values
            )
        whole = run.optimiser.state_dict()
        whole["state"] = moments
        run.optimiser.load_state_dict(whole)
        run.progress = Progress(**state["progress"])

    def remove(self) -> None:
        """Delete the checkpoint of a finished run."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
