"""What is timed of one model on a GPU: bare prefills, readings, and training steps."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.flops import Load, Shape, flops
from benchmarks.made import Lengths, as_loaded, config_of, decoder, document_lengths, prompt
from benchmarks.material import some_heads, tokens_of
from headrank.options.fold import Fold
from headrank.ranker.truncated import cut_last_layer, score_prompts
from headrank.reading.document_store import DocumentStore, Shelf
from headrank.reading.prompt_tokens import Prompt

FULL = "bare, full depth"
DEEP = "bare, 60 % of the layers"
NEW = ", new lengths each time"
SIDE_BY_SIDE = 4  # lists of one training step, the batch of config/alignment.yaml


@dataclass(frozen=True)
class Task:
    """One row.

    Attributes:
        run: one measured call.
        flops: of that call.
        tokens: of one list that are computed.
        lists: that the call takes.
    """

    run: Callable[[], object]
    flops: float
    tokens: float
    lists: int = 1


@dataclass(frozen=True)
class Settings:
    """What is measured, and where.

    Attributes:
        batches: lists read side by side.
        training: the sizes of lists that a training step is measured on.
        rounds: at most; a task of more than ``seconds`` in all has fewer, but three.
    """

    device: str
    dtype: str
    lengths: Lengths
    batches: tuple[int, ...]
    training: tuple[int, ...]
    rounds: int
    seconds: float = 3.0


class Bench:
    """One model: decoders that share their weights, and the tasks on them.

    Args:
        score: reads lists; takes what ``score_prompts`` takes.
    """

    def __init__(
        self, name: str, settings: Settings, score: Callable[..., object] = score_prompts
    ) -> None:
        self.name, self.settings, self.score = name, settings, score
        config = config_of(name)
        self.shape, self.vocabulary = Shape.of(config), config.vocab_size
        self.heads = some_heads(config.num_hidden_layers, config.num_attention_heads)
        self.layers = self.heads.deepest + 1
        made = {"dtype": settings.dtype, "device": settings.device}
        self.bare = decoder(name, own=False, **made)
        shared = made | {"weights": self.bare}
        self.bare_deep = decoder(name, own=False, layers=self.layers, **shared)
        self.full = as_loaded(decoder(name, **shared), name)
        self.cut = as_loaded(decoder(name, layers=self.layers, **shared), name)
        cut_last_layer(self.cut)
        self.shared = shared

    def tasks(self, documents: int, batch: int) -> dict[str, Task]:
        """Return the tasks of one size of lists and of a batch, by name."""
        lengths = self.settings.lengths
        prompts = [
            prompt(documents, self.vocabulary, lengths, seed=number) for number in range(batch)
        ]
        ids = torch.tensor([tokens_of(one) for one in prompts], device=self.settings.device)
        load = Load.joint(lengths.prefix, document_lengths(prompts[0], lengths), lengths.suffix)
        whole = batch * flops(self.shape, load, self.shape.layers, cut=False)
        deep = batch * flops(self.shape, load, self.layers, cut=False)
        cut = batch * flops(self.shape, load, self.layers, cut=True)
        fold = Fold(aggregation="log-sum")
        tasks = {
            FULL: Task(lambda: prefill(self.bare, ids), whole, load.tokens, batch),
            DEEP: Task(lambda: prefill(self.bare_deep, ids), deep, load.tokens, batch),
            "8 heads, 60 % of the layers": Task(
                lambda: self.score(self.cut, prompts, self.heads, fold),
                cut,
                load.tokens,
                batch,
            ),
        }
        if batch == 1:
            tasks["all heads, full depth"] = Task(
                lambda: self.score(self.full, prompts, None, fold), whole, load.tokens
            )
            tasks |= self.new(documents)
        else:
            unlike = [
                prompt(documents, self.vocabulary, lengths, seed=number, spread=0.5)
                for number in range(batch)
            ]
            loads = [
                Load.joint(lengths.prefix, document_lengths(one, lengths), lengths.suffix)
                for one in unlike
            ]
            tasks["8 heads, 60 %, lists of unlike length"] = Task(
                lambda: self.score(self.cut, unlike, self.heads, fold),
                sum(flops(self.shape, one, self.layers, cut=True) for one in loads),
                float(np.mean([one.tokens for one in loads])),
                batch,
            )
        return tasks | self.apart(documents, batch)

    def apart(self, documents: int, batch: int) -> dict[str, Task]:
        """Return the tasks of layout block: alone, with like and unlike documents, and stored.

        Lists of a batch have the same documents and queries of their own.
        """
        lengths, fold = self.settings.lengths, Fold(aggregation="log-sum")
        # All of a list of the largest model takes 3 GB.
        shelf = Shelf(DocumentStore(8 * 10**9), {"model": "made here"}, self.cut.device)
        asked = [
            prompt(documents, self.vocabulary, lengths, seed=number).suffixes
            for number in range(batch)
        ]
        tasks = {}
        cases = [
            ("block, 8 heads, 60 %", 0.0, None),
            ("block, 8 heads, 60 %, documents stored", 0.0, shelf),
        ]
        if batch == 1:
            cases.append(("block, 8 heads, 60 %, documents of unlike length", 0.5, None))
        for name, spread, kept in cases:
            one = prompt(documents, self.vocabulary, lengths, spread=spread, block=True)
            parts = (lengths.prefix, document_lengths(one, lengths), lengths.suffix)
            load = Load.block(*parts, stored=kept is not None)
            many = [replace(one, suffixes=suffixes) for suffixes in asked]
            tasks[name] = Task(
                lambda many=many, kept=kept: self.score(self.cut, many, self.heads, fold, kept),
                batch * flops(self.shape, load, self.layers, cut=True),
                load.tokens,
                batch,
            )
        return tasks

    def new(self, documents: int) -> dict[str, Task]:
        """Return the tasks whose lists have lengths that were never seen: so are real ones.

        What a kernel prepares for a shape is not paid for in the other rows, which repeat theirs.
        """
        lengths, fold = self.settings.lengths, Fold(aggregation="log-sum")
        tasks = {}
        for name, block, load_of in (
            ("8 heads, 60 %", False, Load.joint),
            ("block, 8 heads, 60 %", True, Load.block),
        ):
            lists = [
                prompt(documents, self.vocabulary, lengths, seed=seed, spread=0.5, block=block)
                for seed in range(self.settings.rounds + 3)
            ]
            loads = [
                load_of(lengths.prefix, document_lengths(one, lengths), lengths.suffix)
                for one in lists
            ]
            feed = itertools.cycle(lists)
            tasks[name + NEW] = Task(
                lambda feed=feed: self.score(self.cut, [next(feed)], self.heads, fold),
                float(np.mean([flops(self.shape, one, self.layers, cut=True) for one in loads])),
                float(np.mean([one.tokens for one in loads])),
            )
        return tasks

    def training(self, documents: int) -> dict[str, Task]:
        """Return training steps, on a decoder of their own; nothing without peft.

        A step of several lists holds them side by side.
        """
        try:
            from headrank.align import adapter, losses
            from headrank.align.forward import selected_masses
        except ImportError as error:
            print(f"no training step is measured: {error}", file=sys.stderr)
            return {}
        model = as_loaded(decoder(self.name, layers=self.layers, **self.shared), self.name)
        wrapped = adapter.add_adapter(
            model, self.heads, rank=16, alpha=32, dropout=0.0, seed=13, projections="all"
        )
        wrapped.train()
        parameters = [one for one in wrapped.parameters() if one.requires_grad]
        optimiser = torch.optim.AdamW(parameters, lr=1e-6)
        lengths = self.settings.lengths
        half = documents // 2
        chosen = torch.arange(half, device=self.settings.device)

        def step(prompts: list[Prompt]) -> None:
            losses_of = [
                losses.preference_loss(losses.relevance(mass), chosen, chosen + half, 1.0, None)
                for mass in selected_masses(model, prompts, self.heads)
            ]
            torch.stack(losses_of).sum().backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

        tasks = {}
        for name, block, load_of in (("", False, Load.joint), (", block", True, Load.block)):
            for lists in (1, SIDE_BY_SIDE):
                prompts = [
                    prompt(documents, self.vocabulary, lengths, seed=number, block=block)
                    for number in range(lists)
                ]
                parts = (lengths.prefix, document_lengths(prompts[0], lengths), lengths.suffix)
                load = load_of(*parts)
                work = flops(self.shape, load, self.layers, cut=True, training=True)
                many = f", {lists} lists side by side" if lists > 1 else ""
                tasks[f"training step, 60 % of the layers{name}{many}"] = Task(
                    lambda prompts=prompts: step(prompts), lists * work, load.tokens, lists
                )
        return tasks


@torch.inference_mode()
def prefill(model: torch.nn.Module, ids: torch.Tensor) -> None:
    model(input_ids=ids)
