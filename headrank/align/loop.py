"""The training loop: steps over lists in an order drawn anew, the best epoch kept."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from headrank.align import adapter as adapters
from headrank.align import losses
from headrank.align.checkpoint import Checkpoint, Progress, State
from headrank.align.divergence import check_gradient, check_trend, check_weights
from headrank.align.forward import HeadReader
from headrank.align.lists import Judged, TrainingList, pair_lists, shuffled
from headrank.align.options import AlignOptions
from headrank.align.pairs import Pair, PairSet
from headrank.align.validate import validation_ndcg
from headrank.data.candidates import CandidateList, query_generator
from headrank.data.heads import HeadSet
from headrank.errors import brief
from headrank.io.progress import follow
from headrank.models.copies import to_device
from headrank.models.devices import OutOfMemory, fits
from headrank.reading.batches import AUTO
from headrank.reading.layout import TRAINED, other_layout

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """What a training sees.

    Attributes:
        training: trimmed lists; every epoch draws each list's order anew.
        pairs: mined on these lists.
        validation: held-out lists, read in a seeded shuffled order.
        labelled: how many queries the training lists were made from; None: as many as there
            are lists.
    """

    training: Judged
    pairs: PairSet
    validation: Judged
    labelled: int | None = None

    @functools.cached_property
    def matched(self) -> list[tuple[CandidateList, list[Pair]]]:
        """Return each training list with its pairs.

        Raises:
            HeadRankError: as `headrank.align.lists.pair_lists`.
        """
        return pair_lists(self.training.lists, self.pairs, self.training.qrels)


def trained_readers(reader: HeadReader, options: AlignOptions) -> list[HeadReader]:
    """Return the reader, and that of the other layout if the options ask for both."""
    if not options.both_layouts:
        return [reader]
    return [reader, reader.in_layout(other_layout(reader.layout))]


class Training:
    """The loop's state: model, data, optimiser, progress.

    Args:
        wrapped: the model with the adapter that is trained.
    """

    def __init__(
        self,
        reader: HeadReader,
        wrapped: torch.nn.Module,
        data: TrainingData,
        options: AlignOptions,
        seed: int,
    ) -> None:
        self.reader = replace(reader, scale=options.scale)
        self.wrapped, self.data = wrapped, data
        self.options, self.seed = options, seed
        # Each list is read by all of them in a step.
        self.readers = trained_readers(self.reader, options)
        self.micro_batch = options.micro_batch  # lists that a pass holds from now on
        if self.micro_batch == AUTO:
            # Queries alone are few rows, whose pass costs what its weights cost to read.
            together = reader.model.device.type == "cuda" or options.tokens == "query"
            self.micro_batch = options.batch if together else 1
        self.parameters = [p for p in wrapped.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=options.learning_rate, weight_decay=0.0
        )
        self.steps = math.ceil(len(data.matched) / options.batch)  # an epoch
        self.progress = Progress()
        self.best_state = adapters.adapter_state(wrapped)

    def state(self) -> State:
        """Return all that a resumed run needs to go on as this one."""
        return State(
            adapter=adapters.adapter_state(self.wrapped),
            best=self.best_state,
            moments=self.optimiser.state_dict()["state"],
            progress=self.progress,
        )

    def load_state(self, state: State) -> None:
        """Go on from a state of a run of the same `headrank.align.fingerprint`."""
        adapters.restore_state(self.wrapped, state.adapter)
        self.best_state, self.progress = state.best, state.progress
        whole = self.optimiser.state_dict()
        whole["state"] = state.moments
        self.optimiser.load_state_dict(whole)

    def rate(self) -> float:
        """Return the learning rate of the next step: linear warm-up, then the schedule."""
        total = self.steps * self.options.epochs
        warm = max(1, round(self.options.warmup * total))
        done = self.progress.total
        if done < warm:
            return self.options.learning_rate * (done + 1) / warm
        share = (done - warm) / max(1, total - warm)
        factor = {
            "constant": 1.0,
            "linear": 1 - share,
            "cosine": 0.5 * (1 + math.cos(math.pi * share)),
        }[self.options.schedule]
        return self.options.learning_rate * factor

    def train(self, store: Checkpoint | None, progress: bool) -> None:
        """Run the remaining epochs."""
        if not self.progress.validation:
            self.validate(0)
        done = self.progress.total
        bar = follow(
            total=self.steps * self.options.epochs,
            initial=done,
            desc="aligning",
            unit="step",
            disable=not progress,
        )
        with bar:
            while not self.finished():
                order = query_generator(self.seed, "lists", str(self.progress.epoch)).permutation(
                    len(self.data.matched)
                )
                while self.progress.step < self.steps:
                    first = self.progress.step * self.options.batch
                    self.take_step(order[first : first + self.options.batch])
                    bar.update()
                    bar.set_postfix_str(f"loss {self.progress.log[-1]['loss']:.3f}")
                    every = self.options.checkpoint_every
                    if store is not None and self.progress.total % every == 0:
                        store.save(self.state())
                self.progress.epoch += 1
                self.progress.step = 0
                self.validate(self.progress.epoch)
                if store is not None:
                    store.save(self.state())

    def finished(self) -> bool:
        """Return whether all epochs are done, or too many passed without a better one.

        Asked before each epoch, so a run resumed at its end stops where it would have.
        """
        waited = self.progress.epoch - self.progress.best_epoch
        return self.progress.epoch >= self.options.epochs or waited >= self.options.patience

    def take_step(self, chosen: Sequence[int]) -> None:
        """Accumulate the gradients of a batch of lists and update the adapter once."""
        self.wrapped.train()
        # Dropout draws from the global generator; a step draws the same after a resume.
        step = query_generator(self.seed, "step", str(self.progress.total))
        torch.manual_seed(int(step.integers(2**62)))
        rate = self.rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        sums = {"loss": 0.0, "preference": 0.0, "regulariser": 0.0, "misordered": 0.0}
        waiting = [
            shuffled(candidates, self.data.training.qrels, pairs, self.seed, self.progress.epoch)
            for candidates, pairs in (self.data.matched[number] for number in chosen)
        ]
        while waiting:
            group = waiting[: self.micro_batch]
            parts = self.accumulate(group, len(chosen) * len(self.readers))
            if parts is None:
                continue
            waiting = waiting[len(group) :]
            for part in parts:
                for name in sums:
                    sums[name] += part[name]
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, self.options.clip))
        number, peak = self.progress.total + 1, self.options.learning_rate
        check_gradient(number, sums["loss"], norm, peak)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        check_weights(number, self.parameters, peak)
        self.progress.step += 1
        self.progress.total += 1
        self.progress.log.append(
            {"step": self.progress.total, "epoch": self.progress.epoch + 1}
            | sums
            | {"gradient_norm": norm, "learning_rate": rate}
        )
        check_trend([entry["loss"] for entry in self.progress.log], peak)

    def accumulate(self, items: Sequence[TrainingList], count: int) -> list[dict] | None:
        """Add to the gradient what some lists give; return each one's share of the step's log.

        Returns None, with the gradient as it was and half of ``micro_batch``, if several lists
        do not fit the GPU's memory at once.

        Args:
            count: losses that the step is the mean of.

        Raises:
            OutOfMemory: a list that does not fit alone.
        """
        # What a pass that fails half way has added must go again.
        before = None
        if len(items) > 1:
            before = [None if p.grad is None else p.grad.clone() for p in self.parameters]
        named = ", ".join(brief(item.candidates.query_id) for item in items)
        failed, found = None, []
        try:
            with fits(
                f"a training step of {'queries' if before else 'query'} {named}",
                "train on fewer documents a list or a smaller document_tokens, adapt "
                "projections: query-key, or use dtype bfloat16",
            ):
                for reader in self.readers:
                    # One graph at a time: the gradients add up.
                    parts = self.losses(items, reader)
                    (torch.stack([part["loss"] for part in parts]).sum() / count).backward()
                    found += [{k: float(v.detach()) / count for k, v in p.items()} for p in parts]
        except OutOfMemory as error:
            if before is None:
                raise
            # The error holds the frames of the pass, and they hold its memory.
            failed = str(error)
        if failed is None:
            return found
        self.micro_batch = len(items) // 2
        logger.warning("%s; from here on micro_batch %d", failed, self.micro_batch)
        for parameter, gradient in zip(self.parameters, before, strict=True):
            parameter.grad = gradient
        torch.cuda.empty_cache()
        return None

    def served_heads(self) -> HeadSet:
        """Return the heads as the adapter's folder has them: with all layouts that they serve."""
        if len(self.readers) == 1:
            return self.reader.heads
        heads, layouts = self.reader.heads, [reader.layout for reader in self.readers]
        return replace(heads, provenance={**heads.provenance, TRAINED: layouts})

    def losses(
        self, items: Sequence[TrainingList], reader: HeadReader | None = None
    ) -> list[dict[str, torch.Tensor]]:
        """Return the loss of each list and its parts, by default in the heads' own layout."""
        reader = reader or self.reader
        lists = [item.candidates for item in items]
        reference = [None] * len(items)
        if self.options.reference == "frozen":
            with adapters.frozen(self.wrapped):
                reference = reader.read(lists)
        values = reader.read(lists)
        return [self.parts(*one) for one in zip(items, values, reference, strict=True)]

    def parts(
        self, item: TrainingList, values: torch.Tensor, reference: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """Return the loss of one list and its parts.

        Args:
            values: ``[selected heads, docs]``, see `HeadReader.read`.
            reference: that of the unaligned model, if the loss compares with it.
        """
        options = self.options
        chosen = to_device(item.chosen, values.device)
        rejected = to_device(item.rejected, values.device)
        z = losses.relevance(values, options.scale)
        before = None
        if reference is not None:
            unaligned = losses.relevance(reference, options.scale)
            before = unaligned[chosen] - unaligned[rejected]
        preference = losses.preference_loss(z, chosen, rejected, options.beta, before)
        if options.regulariser == "graded-kl":
            grades = to_device(item.grades, z.device)
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
        held = self.data.validation
        value = validation_ndcg(self.reader, held, self.seed)
        self.progress.validation.append(
            {"epoch": epoch, "ndcg@10": value, "queries": len(held.lists)}
        )
        if value > self.progress.best:
            self.progress.best, self.progress.best_epoch = value, epoch
            self.best_state = adapters.adapter_state(self.wrapped)
