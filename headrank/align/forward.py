"""The training-time reading: selected heads of some lists, with or without gradients."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from headrank.align.losses import relevance
from headrank.align.options import Scale
from headrank.data.candidates import CandidateList, arrange
from headrank.data.heads import HeadSet
from headrank.errors import brief
from headrank.models.attention import ReadingComplete, Recorder, Target
from headrank.models.copies import to_device
from headrank.models.decoder import LoadedModel
from headrank.models.devices import fits
from headrank.options.fold import MAX_LOGIT
from headrank.options.prompt import PromptOptions
from headrank.reading.document_store import Shelf
from headrank.reading.prompt import PromptBuilder
from headrank.reading.prompt_tokens import Prompt
from headrank.reading.recording import Recording
from headrank.reading.sliding_window import check_prompt
from headrank.reading.traced import trace_blocks, trace_suffixes


@dataclass(frozen=True)
class HeadReader:
    """The heads that are read of a model, and the prompt that they are read in."""

    model: LoadedModel
    builder: PromptBuilder
    heads: HeadSet
    scale: Scale = "log"
    """What their relevance is, see `headrank.align.losses.relevance`."""
    shelf: Shelf | None = None
    """Documents that an adapter of the query's tokens alone leaves as they are."""

    @classmethod
    def of(cls, model: LoadedModel, prompt: PromptOptions, heads: HeadSet) -> HeadReader:
        """Return a reader in a prompt of these options."""
        return cls(model, PromptBuilder(model.tokenizer, prompt, model.context), heads)

    @property
    def layout(self) -> str:
        """Return the prompt's layout."""
        return self.builder.options.layout

    def in_layout(self, layout: str) -> HeadReader:
        """Return a reader of the same heads in another layout."""
        moved = HeadReader.of(self.model, self.builder.options.changed(layout=layout), self.heads)
        return replace(moved, scale=self.scale)

    def check(self, lists: Iterable[CandidateList], seed: int | None = None) -> None:
        """Refuse a list that could not be read, before any is.

        Args:
            seed: of the one shuffled order in which they are read. None: their orders are drawn
                later, so what a sliding head sees is not known, and only the room is looked at.

        Raises:
            HeadRankError: as `headrank.reading.prompt.PromptBuilder.build` and
                `headrank.reading.sliding_window.check_prompt`.
        """
        for one in lists:
            moved = one if seed is None else arrange(one, "shuffled", seed)
            prompt = self.builder.build(moved, (moved.query,))
            if seed is not None:
                check_prompt(self.model, prompt, self.heads, moved)

    def read(self, lists: Sequence[CandidateList]) -> list[torch.Tensor]:
        """Return ``[selected heads, docs]`` float32 of each list: what its relevance is made of.

        These are masses, with scale ``max-logit`` largest logits; see `selected_masses`.
        """
        prompts = [self.builder.build(one, (one.query,)) for one in lists]
        return selected_masses(
            self.model, prompts, self.heads, self.scale == MAX_LOGIT, shelf=self.shelf
        )

    @torch.no_grad()
    def shuffled_relevance(
        self, candidates: CandidateList, seed: int
    ) -> tuple[CandidateList, torch.Tensor]:
        """Return a list in a seeded shuffled order, and the relevance ``[docs]`` read there.

        Raises:
            OutOfMemory: a GPU has not the memory.
        """
        moved = arrange(candidates, "shuffled", seed)
        with fits(
            f"query {brief(candidates.query_id)}",
            "read fewer documents a list, a smaller document_tokens, or use dtype bfloat16",
        ):
            (values,) = self.read([moved])
        return moved, relevance(values, self.scale)


def selected_mass(model: LoadedModel, prompt: Prompt, heads: HeadSet) -> torch.Tensor:
    """Return ``[selected heads, docs]`` float32 masses of the query's suffix.

    See `selected_masses`.
    """
    (mass,) = selected_masses(model, [prompt], heads)
    return mass


def selected_masses(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    heads: HeadSet,
    max_logits: bool = False,
    *,
    shelf: Shelf | None = None,
) -> list[torch.Tensor]:
    """Return ``[selected heads, docs]`` float32 masses of each prompt's first suffix.

    With ``max_logits`` each document's largest logit takes the place of its mass.

    One pass over the whole prompts without a cache, so gradients flow through the recorded
    attention back to every layer below; nothing behind the deepest selected head's attention
    weights is computed. Shorter prompts are padded on the right, where causal rows never look:
    side by side masses are those of single prompts up to rounding. Prompts in a block layout share
    a pass if they share the text before their documents, so not where the query is in it. Where the
    model's adapter changes the query's tokens alone, documents are computed without gradients.

    Args:
        shelf: of documents that such an adapter leaves as they are.

    Raises:
        HeadRankError: a document out of a head's sliding window: its log mass has no meaning.
    """
    for prompt in prompts:
        check_prompt(model, prompt, heads)
    chosen: dict[int, list[int]] = {}
    for layer, head in sorted(heads.pairs):
        chosen.setdefault(layer, []).append(head)
    recording = Recording(heads=chosen, keep_max_logits=max_logits)
    if model.query_adapter:
        traced = trace_suffixes(model, prompts, recording, heads.deepest, shelf)
        return [_joined(recorder, 0, max_logits) for recorder in traced]
    if any(prompt.blocks is not None for prompt in prompts):
        traced = [
            recorder
            for _, some in itertools.groupby(prompts, lambda prompt: prompt.blocks.head(0))
            for recorder in trace_blocks(model, list(some), recording, heads.deepest)
        ]
        return [_joined(recorder, 0, max_logits) for recorder in traced]
    texts = [prompt.prefix + prompt.suffixes[0].ids for prompt in prompts]
    longest = max(map(len, texts))
    ids = to_device([text + (0,) * (longest - len(text)) for text in texts], model.device)
    targets = [_target(prompt, model.device) for prompt in prompts]
    recorder = recording.recorder(targets, heads.deepest)
    with contextlib.suppress(ReadingComplete):
        model.decoder(input_ids=ids, use_cache=False, recorder=recorder)
    return [_joined(recorder, item, max_logits) for item in range(len(prompts))]


def _target(prompt: Prompt, device: torch.device) -> Target:
    """Return what is read of a prompt's first suffix."""
    suffix, start = prompt.suffixes[0], len(prompt.prefix)
    rows = (start + suffix.rows[0], start + suffix.rows[1])
    return Target.of(rows, prompt.document_index(), len(prompt.spans), device)


def _joined(recorder: Recorder, item: int, max_logits: bool) -> torch.Tensor:
    """Return ``[selected heads, docs]`` of one sequence of the batch, by layer."""
    values = recorder.max_logits if max_logits else recorder.mass
    return torch.cat([values[layer][item] for layer in sorted(values)])
