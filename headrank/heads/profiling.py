"""Profiling a model's heads on labelled lists; a killed job goes on behind its last lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from headrank import __version__
from headrank.data.candidates import CandidateList, arrange
from headrank.data.trec import Qrels
from headrank.heads.profile import Profile, profile_readings
from headrank.models.decoder import LoadedModel
from headrank.models.versions import versions
from headrank.options.prompt import PromptOptions
from headrank.reading import sliding_window
from headrank.reading.document_store import state_of
from headrank.reading.lists import read_lists
from headrank.reading.prompt import PromptBuilder
from headrank.reading.readings import ListReading
from headrank.reading.recording import ReadOptions
from headrank.reading.unfinished import Unfinished


@dataclass(frozen=True)
class ProfileSettings:
    """How labelled lists are read for a profile; see `headrank.fitting.profile_heads`."""

    prompt: PromptOptions = field(default_factory=PromptOptions)
    order: str = "shuffled"
    seed: int = 13
    max_logits: bool = False

    @property
    def kept(self) -> ReadOptions:
        """Return what each reading holds."""
        return ReadOptions(calibrate=False, keep_max_logits=self.max_logits)

    def builder(self, model: LoadedModel) -> PromptBuilder:
        """Return what builds the prompts."""
        return PromptBuilder(model.tokenizer, self.prompt, model.context)

    def arranged(self, lists: Sequence[CandidateList]) -> list[CandidateList]:
        """Return the lists with their documents in the prompt's order."""
        return [arrange(candidates, self.order, self.seed) for candidates in lists]

    def provenance(self, model: LoadedModel, builder: PromptBuilder) -> dict:
        """Return what the readings are made with."""
        return {
            "model": Path(model.name).name,
            "model_digest": model.digest,
            "layers": model.layers,
            "heads": model.heads,
            "dtype": model.dtype,
            "prompt": builder.options.described(),
            "wrapper": builder.wrapper,
            "order": self.order,
            "seed": self.seed,
            **sliding_window.provenance(model),
        }


def profile_checkpoint(
    model: LoadedModel,
    lists: Sequence[CandidateList],
    settings: ProfileSettings,
    folder: str | os.PathLike,
) -> Unfinished:
    """Return the checkpoint of a profile in a folder, of the lists that it reads."""
    decided = state_of(model, None) | {
        "tokenizer": model.tokenizer_digest,
        "headrank": __version__,
        "versions": versions(),
    }
    made = settings.provenance(model, settings.builder(model))
    return Unfinished(folder, made, settings.arranged(lists), settings.kept, decided)


def profile_lists(
    model: LoadedModel,
    lists: Sequence[CandidateList],
    qrels: Qrels,
    settings: ProfileSettings,
    checkpoint: Unfinished | None = None,
    progress: bool = True,
) -> Profile:
    """Return the profile over lists that are loaded already, with its provenance.

    Args:
        checkpoint: of `profile_checkpoint`; it is left as it is.
    """
    builder, moved = settings.builder(model), settings.arranged(lists)
    done = [] if checkpoint is None else checkpoint.load()
    label = "profiling" if progress else None
    fresh = read_lists(model, builder, moved[len(done) :], settings.kept, label=label)
    if checkpoint is not None:
        fresh = checkpoint.kept(fresh, len(done))
    provenance = settings.provenance(model, builder)
    return profile_readings(_checked([*done], fresh), qrels, provenance)


def _checked(*readings: Iterable[ListReading]) -> Iterator[ListReading]:
    for reading in chain(*readings):
        reading.check("profiling")
        yield reading
