"""Alignment training: preference pairs into the attention of the selected heads."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from headrank import __version__
from headrank.align import adapter as adapters
from headrank.align import losses
from headrank.align.data import TrainingList, pair_lists, shuffled
from headrank.align.forward import selected_mass
from headrank.align.options import AlignOptions
from headrank.align.validate import validation_ndcg
from headrank.errors import HeadRankError
from headrank.files import atomic, atomic_dir, digest, read_json, write_json
from headrank.heads import HeadSet
from headrank.lists import CandidateList, query_generator
from headrank.models import LoadedModel
from headrank.pairs import PairSet
from headrank.prompt import PromptBuilder
from headrank.trec import Qrels


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


def align(
    model: LoadedModel,
    builder: PromptBuilder,
    heads: HeadSet,
    lists: Sequence[CandidateList],
    qrels: Qrels,
    pairs: PairSet,
    target: str | os.PathLike,
    *,
    validation: Sequence[CandidateList],
    validation_qrels: Qrels,
    options: AlignOptions,
    seed: int,
    checkpoint: str | os.PathLike | None = None,
    provenance: dict | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train an adapter and write it to ``target``; return the validation table.

    The folder holds peft's files of the best epoch, ``heads.json``, ``headrank.json``
    (what it belongs to), ``training.csv`` (a row a step) and ``validation.csv`` (a row an
    epoch; epoch 0 is the unaligned model).

    Args:
        lists: trimmed training lists; every epoch draws each list's order anew.
        pairs: mined on these lists.
        validation: held-out lists, read in a seeded shuffled order.
        checkpoint: folder from which a killed run goes on, with the same result as an
            unbroken one; removed at the end.

    Raises:
        HeadRankError: heads of another model, pairs of other lists, a loss that is not
            finite, or a checkpoint of other settings.
    """
    matched = pair_lists(lists, pairs)
    wrapped = adapters.add_adapter(
        model,
        heads,
        rank=options.rank,
        alpha=options.alpha,
        dropout=options.dropout,
        seed=seed,
    )
    run = _Training(model, builder, heads, wrapped, matched, qrels, options, seed)
    run.validation_set = (validation, validation_qrels)
    store = None if checkpoint is None else _Checkpoint(Path(checkpoint), run.fingerprint())
    if store is not None:
        store.load_into(run)
    run.train(store, progress)
    card = {
        "headrank": __version__,
        "model": Path(model.name).name,
        "model_digest": model.digest,
        "options": asdict(options),
        "prompt": asdict(builder.options),
        "seed": seed,
        "training_queries": len(matched),
        "pairs": len(pairs.pairs),
        "best_epoch": run.progress.best_epoch,
        "validation_ndcg@10": run.progress.best,
        "provenance": provenance or {},
    }
    table = pd.DataFrame(run.progress.validation)
    with atomic_dir(target) as folder:
        adapters.restore_state(wrapped, run.best_state)
        adapters.save_adapter(wrapped, folder, heads, card)
        pd.DataFrame(run.progress.log).to_csv(folder / "training.csv", index=False)
        table.to_csv(folder / "validation.csv", index=False)
    if store is not None:
        store.remove()
    return table


class _Training:
    """The loop's state: model, data, optimiser, progress."""

    def __init__(self, model, builder, heads, wrapped, matched, qrels, options, seed) -> None:
        self.model, self.builder, self.heads, self.wrapped = model, builder, heads, wrapped
        self.matched, self.qrels, self.options, self.seed = matched, qrels, options, seed
        self.parameters = [p for p in wrapped.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=options.learning_rate, weight_decay=0.0
        )
        self.steps = math.ceil(len(matched) / options.batch)  # an epoch
        self.progress = Progress()
        self.best_state = adapters.adapter_state(wrapped)

    def fingerprint(self) -> str:
        """Return what a checkpoint must agree with, as JSON."""
        return json.dumps(
            {
                "options": {
                    k: v for k, v in asdict(self.options).items() if k != "checkpoint_every"
                },
                "prompt": asdict(self.builder.options),
                "heads": self.heads.pairs,
                "model": self.model.digest,
                "seed": self.seed,
                "queries": [c.query_id for c, _ in self.matched],
                "pairs": sum(len(p) for _, p in self.matched),
            },
            sort_keys=True,
        )

    def rate(self) -> float:
        """Return the learning rate of the next step: linear warm-up, cosine to zero."""
        total = self.steps * self.options.epochs
        warm = max(1, round(self.options.warmup * total))
        done = self.progress.total
        if done < warm:
            return self.options.learning_rate * (done + 1) / warm
        share = (done - warm) / max(1, total - warm)
        return self.options.learning_rate * 0.5 * (1 + math.cos(math.pi * share))

    def train(self, store: _Checkpoint | None, progress: bool) -> None:
        """Run the remaining epochs."""
        if not self.progress.validation:
            self.validate(0)
        done = self.progress.total
        bar = tqdm(
            total=self.steps * self.options.epochs,
            initial=done,
            desc="aligning",
            unit="step",
            disable=not progress,
        )
        with bar:
            while self.progress.epoch < self.options.epochs:
                order = query_generator(self.seed, "lists", str(self.progress.epoch)).permutation(
                    len(self.matched)
                )
                while self.progress.step < self.steps:
                    first = self.progress.step * self.options.batch
                    self.take_step(order[first : first + self.options.batch])
                    bar.update()
                    bar.set_postfix_str(f"loss {self.progress.log[-1]['loss']:.3f}")
                    every = self.options.checkpoint_every
                    if store is not None and self.progress.total % every == 0:
                        store.save(self)
                self.progress.epoch += 1
                self.progress.step = 0
                self.validate(self.progress.epoch)
                if store is not None:
                    store.save(self)
                if self.progress.epoch - self.progress.best_epoch >= self.options.patience:
                    break

    def take_step(self, chosen: Sequence[int]) -> None:
        """Accumulate the gradients of a batch of lists and update the adapter once."""
        self.wrapped.train()
        rate = self.rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        sums = {"loss": 0.0, "preference": 0.0, "regulariser": 0.0, "misordered": 0.0}
        for number in chosen:
            candidates, pairs = self.matched[number]
            item = shuffled(candidates, self.qrels, pairs, self.seed, self.progress.epoch)
            parts = self.loss(item)
            (parts["loss"] / len(chosen)).backward()
            for name, value in parts.items():
                sums[name] += float(value.detach()) / len(chosen)
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, self.options.clip))
        if not (math.isfinite(sums["loss"]) and math.isfinite(norm)):
            raise HeadRankError(
                f"step {self.progress.total + 1}: loss {sums['loss']}, gradient norm {norm}; "
                f"training diverged. Lower learning_rate (now {self.options.learning_rate}), or "
                "train in float32"
            )
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.total += 1
        self.progress.log.append(
            {"step": self.progress.total, "epoch": self.progress.epoch + 1}
            | sums
            | {"gradient_norm": norm, "learning_rate": rate}
        )

    def loss(self, item: TrainingList) -> dict[str, torch.Tensor]:
        """Return the loss of one list and its parts."""
        options = self.options
        prompt = self.builder.build(item.candidates, (item.candidates.query,))
        chosen = torch.from_numpy(item.chosen).to(self.model.device)
        rejected = torch.from_numpy(item.rejected).to(self.model.device)
        reference = None
        if options.reference == "frozen":
            with adapters.frozen(self.wrapped):
                z = losses.relevance(selected_mass(self.model, prompt, self.heads), options.scale)
                reference = z[chosen] - z[rejected]
        z = losses.relevance(selected_mass(self.model, prompt, self.heads), options.scale)
        preference = losses.preference_loss(z, chosen, rejected, options.beta, reference)
        if options.regulariser == "graded-kl":
            grades = torch.from_numpy(item.grades).to(z.device)
            regulariser = losses.graded_kl(z, grades)
        elif options.regulariser == "middle-spread":
            regulariser = losses.middle_spread(z, options.spread_floor)
        else:
            regulariser = torch.zeros_like(preference)
        with torch.no_grad():
            misordered = (z[chosen] <= z[rejected]).float().mean()
        return {
            "loss": preference + options.regulariser_weight * regulariser,
            "preference": preference.detach(),
            "regulariser": regulariser.detach(),
            "misordered": misordered,
        }

    def validate(self, epoch: int) -> None:
        """Measure nDCG@10 on the held-out lists; keep the adapter if it is the best so far."""
        self.wrapped.eval()
        lists, qrels = self.validation_set
        value = validation_ndcg(self.model, self.builder, self.heads, lists, qrels, self.seed)
        self.progress.validation.append({"epoch": epoch, "ndcg@10": value, "queries": len(lists)})
        if value > self.progress.best:
            self.progress.best, self.progress.best_epoch = value, epoch
            self.best_state = adapters.adapter_state(self.wrapped)


class _Checkpoint:
    """A folder with the tensors, the optimiser's state and the progress of a run."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint

    def save(self, run: _Training) -> None:
        """Write a whole new checkpoint, then drop the one before."""
        tensors = {f"now.{k}": v for k, v in adapters.adapter_state(run.wrapped).items()}
        tensors |= {f"best.{k}": v for k, v in run.best_state.items()}
        moments = run.optimiser.state_dict()["state"]
        for number, entry in moments.items():
            tensors |= {
                f"adam.{number}.{k}": v.reshape(-1) if v.dim() == 0 else v for k, v in entry.items()
            }
        name = f"{run.progress.total:08d}"
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

    def load_into(self, run: _Training) -> None:
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
                f"{self.folder}: the checkpoint was written with other settings, heads or data; "
                "delete the folder to start anew"
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
