"""Keys of a config that say how heads are trained and how candidates are ranked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headrank.align.options import AlignOptions
from headrank.options.fold import Fold
from headrank.options.generative import GenerativeOptions
from headrank.options.pairs import PairOptions
from headrank.options.prompt import Layout
from headrank.options.selection import SelectionOptions
from headrank.settings.classes import Rules, Settings, options
from headrank.settings.fields import ABSENT
from headrank.settings.kinds import (
    Count,
    Flag,
    Positive,
    absent,
    by_kind,
    many,
    whole,
    whole_or_null,
)
from headrank.workflow.config.source_keys import Name, Names, Order


@options("selections", keywords=True)
class Selection(SelectionOptions):
    """How heads are selected, and on which layout's profile."""

    layout: Layout = absent()
    """Layout of the prompt in which the heads are profiled and read [ours]; `prompt.layout` if not
    given.
    """


class Recipe(Settings):
    """A recipe of preference training."""

    selection: Name
    """The heads that are trained, by the name of their selection."""
    layout: Layout = absent()
    """Layout of the training lists: that of the selection, and so if not given."""
    training: Names
    """Sets of role `alignment` or `profiling+alignment`."""
    validation: Name
    """A set of role `alignment` that no recipe trains on; the epoch with its best nDCG@10 is kept.
    """
    seeds: many(Count, "a list of one or more different whole numbers", least=1)
    """Seeds, one training each."""
    queries: whole_or_null(1, "for all") = None
    """Train on the first so many queries of the sets only (smaller ones are part of larger ones).
    `null` takes all.
    """
    documents: whole(2) = 12
    """Documents of a training list; each list is shuffled."""
    document_tokens: Positive = 64
    """Most tokens of each document of a training list."""
    pairs: PairOptions = Field(default_factory=PairOptions)
    """Which pairs are trained on."""
    options: AlignOptions = Field(default_factory=AlignOptions)
    """How the adapter is trained."""


@options("methods", keywords=True)
class AttentionMethod(Fold):
    """Folds the readings of some heads."""

    kind: Literal["attention"] = "attention"
    """The attention of some heads; this kind is the default."""
    heads: Name
    """`all`, or the name of a selection."""
    layout: Layout = absent()
    """Layout of the prompt. If not given, that of the adapter or the selection; for `all`,
    `prompt.layout`. A list in a block layout is read once, whatever `orders` says: its scores are
    the same in each [ours].
    """
    adapter: Name = absent()
    """Name of an alignment. The heads must be its selection, and nothing is calibrated."""
    reselect: Flag = False
    """With `adapter`: select the heads again, on the aligned model's profile [ours]."""
    truncated: Flag = False
    """Rank by the path of a deployment, a prefill of its own that stops at the deepest head. Its
    scores are those of the reading, and it drops outlier tokens without `reading.tokens`.
    """

    def rules(self) -> Rules:
        """Yield what does not go with an adapter, or without one."""
        yield from Fold.rules(self)
        if self.adapter is ABSENT:
            if self.reselect:
                yield "reselect", "is true; allowed: false, since it has no adapter"
            return
        if self.calibrate:
            yield (
                "calibrate",
                "is true; allowed: false, since readings with an adapter hold the query's "
                "attention alone",
            )
        if self.reselect and self.truncated:
            yield (
                "truncated",
                "is true; allowed: false with reselect, since such a prefill reads the heads that "
                "the adapter was trained for",
            )


class FirstStageMethod(Settings):
    """The candidates as they came."""

    kind: Literal["first-stage"]
    """The candidates as they came."""


class DenseMethod(Settings):
    """A sentence encoder."""

    kind: Literal["dense"]
    """A sentence encoder (mean pooling, cosine)."""
    encoder: Name
    """Name of an encoder."""


class CrossEncoderMethod(Settings):
    """A sequence classifier that reads query and passage together."""

    kind: Literal["cross-encoder"]
    """A sequence classifier that reads query and passage together: with one label its logit, with
    two the log-odds of the second.
    """
    encoder: Name
    """Name of an encoder."""


@options("methods", keywords=True)
class GenerativeMethodKeys(GenerativeOptions):
    """Asks the model in words."""

    kind: Literal["generative"]
    """Asks the model; the texts are [ours], the limits those of `prompt` (`document_tokens`,
    `overlong`, `chat`). Answers are in `results/generation`, their form in
    `results/tables/formatting`.
    """
    orders: Annotated[
        many(Order, "a list of one or more different prompt orders", least=1) | None, Field()
    ] = None
    """Prompt orders to evaluate (generation is slow, so you may want fewer). `null` takes all of
    `orders`.
    """


class RandomMethod(Settings):
    """A seeded random order."""

    kind: Literal["random"]
    """A seeded random order: the control."""


Method = by_kind(
    AttentionMethod,
    FirstStageMethod,
    DenseMethod,
    CrossEncoderMethod,
    GenerativeMethodKeys,
    RandomMethod,
    default="attention",
)
