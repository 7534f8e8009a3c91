"""Profiling and aligning heads on a user's own labelled queries, in two calls.

heads = profile_heads("my/model", examples).select()
align_heads("my/model", heads, examples, "my-adapter", recipe=AlignRecipe(seed=1))
ranker = HeadRanker.from_pretrained("my/model", adapter="my-adapter")
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Unpack

import pandas as pd

from headrank import __version__
from headrank.align.checkpoint import check_settings
from headrank.align.documents import check_layout
from headrank.align.fingerprint import settings
from headrank.align.forward import HeadReader
from headrank.align.lists import Judged, trim_judged
from headrank.align.mine import mine_with_model, mining_checkpoint
from headrank.align.options import AlignOptions
from headrank.align.places import PAIRS, Folders, make_checkpoint
from headrank.data.candidates import (
    CandidateList,
    Passage,
    as_candidates,
    check_order,
    in_order,
    query_generator,
)
from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels, check_grade
from headrank.errors import HeadRankError, brief, kind_of
from headrank.heads.named import check_published, load_heads
from headrank.heads.profile import Profile, profiled
from headrank.heads.profiling import ProfileSettings, profile_checkpoint, profile_lists
from headrank.io.extras import need
from headrank.io.targets import check_checkpoint
from headrank.io.texts import normalised
from headrank.models.decoder import LoadedModel, load_model
from headrank.models.safe_loading import load_config
from headrank.options.checks import check_path, check_whole, made_of
from headrank.options.loading import LoadOptions, check_keywords
from headrank.options.pairs import PairOptions
from headrank.options.prompt import PromptOptions
from headrank.ranker.origin import Origin
from headrank.reading.layout import check_heads


@dataclass(frozen=True)
class LabelledQuery:
    """One query with judged passages.

    Attributes:
        passages: texts or ``Passage`` objects, the first stage's order.
        grades: one a passage; 0 is not relevant, higher is better.
        query_id: must differ between queries; by default the query's text.
    """

    query: str
    passages: Sequence[str | Passage]
    grades: Sequence[int]
    query_id: str | None = None


def as_lists(examples: Iterable[LabelledQuery], what: str = "examples") -> Judged:
    """Return the candidate lists and judgments of labelled queries.

    Args:
        what: their name, for errors.

    Raises:
        HeadRankError: another number of grades than passages, a grade that is not a whole
            number or beyond `headrank.data.trec.MAX_GRADE`, or two queries of one id.
    """
    lists, grades = [], {}
    for number, example in enumerate(in_order(examples, what, "LabelledQuery objects"), start=1):
        if not isinstance(example, LabelledQuery):
            raise HeadRankError(f"{what}: entry {number} is {kind_of(example)}; give LabelledQuery")
        candidates = as_candidates(example.query, example.passages, query_id=example.query_id)
        name = candidates.query_id
        told = f"query {brief(name)}"
        given = in_order(example.grades, f"{told}: grades", "whole numbers")
        checked = [check_grade(grade, told) for grade in given]
        if len(checked) != len(candidates.doc_ids):
            raise HeadRankError(
                f"query {brief(name)}: {len(checked)} grades for {len(candidates.doc_ids)} passages"
            )
        if name in grades:
            raise HeadRankError(f"query {brief(name)} stands twice among the labelled queries")
        lists.append(candidates)
        grades[name] = dict(zip(candidates.doc_ids, checked, strict=True))
    return Judged(lists, Qrels(grades))


def profile_heads(  # noqa: PLR0913  called by name, each for its own end
    model: str | os.PathLike,
    examples: Iterable[LabelledQuery],
    *,
    prompt: PromptOptions | Mapping[str, object] | None = None,
    order: str = "shuffled",
    seed: int = 13,
    max_logits: bool = False,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
    **load: Unpack[LoadOptions],
) -> Profile:
    """Return the profile of every head of a model; ``.select(...)`` gives the heads to read.

    Args:
        prompt: texts and limits of the prompt, or a mapping of some of them.
        order, seed: of the passages in the prompt, as `headrank.ranker.options.RankerOptions`
            has them.
        max_logits: also profile largest logits, by which criterion ``max-logit`` selects.
        checkpoint: folder from which a killed call goes on, to the same profile; it loses at most
            the last minute.
        load: ``dtype`` (by default float32), ``device`` and ``revision``; see
            `headrank.options.loading.LoadOptions`.

    Raises:
        HeadRankError: the model cannot be loaded, a list does not fit, or no query has
            passages of two grades.
    """
    check_keywords(load, LoadOptions, "profile_heads")
    check_path("model", model, "a hub repository")
    check_order(order)
    seed, prompt = check_whole("seed", seed, 0), _prompt(prompt)
    if checkpoint is not None:
        check_path("checkpoint", checkpoint, "None")
        check_checkpoint(checkpoint)
    judged = as_lists(examples)
    lists = profiled(*judged)
    loaded = load_model(model, **load)
    asked = ProfileSettings(prompt or PromptOptions(), order, seed, max_logits)
    begun = None
    if checkpoint is not None:
        begun = profile_checkpoint(loaded, lists, asked, checkpoint)
    profile = profile_lists(loaded, lists, judged.qrels, asked, begun, progress)
    if begun is not None:
        begun.remove(others=False)
    return profile


@dataclass(frozen=True)
class AlignRecipe:
    """How an adapter is made from labelled queries.

    Attributes:
        options: of the training.
        pairs: which pairs of passages it prefers.
        documents: passages a training list keeps: the relevant ones and the best others.
        prompt: by default the one that the heads were selected with, whole documents included: a
            step costs as its tokens, and the workflow trains on 64 a document
            (``{"document_tokens": 64}``: a mapping changes some fields of the heads' prompt).
        seed: of orders, dropout, the adapter's first weights and the held-out share.
        checkpoint: folder from which a killed run goes on, to the same adapter.
    """

    options: AlignOptions = field(default_factory=AlignOptions)
    pairs: PairOptions = field(default_factory=PairOptions)
    documents: int = 12
    prompt: PromptOptions | Mapping[str, object] | None = None
    seed: int = 13
    checkpoint: str | os.PathLike | None = None

    def __post_init__(self) -> None:
        settled = {
            "options": made_of("options", self.options, AlignOptions),
            "pairs": made_of("pairs", self.pairs, PairOptions),
            "documents": check_whole("documents", self.documents, 2),
            "seed": check_whole("seed", self.seed, 0),
        }
        _prompt(self.prompt)
        if self.checkpoint is not None:
            check_path("checkpoint", self.checkpoint, "None")
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    def prompt_for(self, heads: HeadSet) -> PromptOptions:
        """Return the prompt that heads are trained in."""
        if isinstance(self.prompt, PromptOptions):
            return self.prompt
        own = Origin({}, heads).prompt() or PromptOptions()
        return own.changed(**self.prompt) if self.prompt else own

    def check(self, heads: HeadSet) -> None:
        """Refuse heads of another layout, and one in which the recipe cannot train.

        Raises:
            HeadRankError: as `headrank.reading.layout.check_heads` and
                `headrank.align.documents.check_layout`.
        """
        layout = self.prompt_for(heads).layout
        check_heads(heads, layout)
        if self.options.tokens == "query":
            check_layout(layout, self.options.both_layouts)


def _prompt(given: PromptOptions | Mapping[str, object] | None) -> PromptOptions | None:
    """Return a prompt's options, made of a mapping of their fields if need be."""
    return None if given is None else made_of("prompt", given, PromptOptions)


def align_heads(
    model: str | os.PathLike,
    heads: HeadSet | str | os.PathLike,
    examples: Iterable[LabelledQuery],
    target: str | os.PathLike,
    *,
    validation: Iterable[LabelledQuery] | float = 0.2,
    recipe: AlignRecipe | None = None,
    progress: bool = True,
    **load: Unpack[LoadOptions],
) -> pd.DataFrame:
    """Write an adapter of the heads to ``target``; return nDCG@10 by epoch on held-out queries.

    Args:
        heads: the heads to align, selected on this model: a head set, its JSON file, or the name
            of a published one.
        validation: held-out queries, or the share of the examples that is held out.
        recipe: how the adapter is trained; by default ``AlignRecipe()``.
        load: ``dtype`` (by default the heads' own), ``device`` and ``revision``; see
            `headrank.options.loading.LoadOptions`.

    Raises:
        HeadRankError: as ``profile_heads``; heads of another model; too few queries to hold
            any out or to fill a step; a validation query that also trains; a folder that
            holds anything but an adapter that was written there, or a checkpoint inside it.
    """
    need("align", "align_heads")
    check_keywords(load, LoadOptions, "align_heads")
    check_path("model", model, "a hub repository")
    check_path("target", target)
    heads = load_heads(heads)
    recipe = AlignRecipe() if recipe is None else recipe
    if not isinstance(recipe, AlignRecipe):
        raise HeadRankError(f"recipe is {recipe!r:.80}; allowed: an AlignRecipe, or None")
    Folders(target, recipe.checkpoint).check()
    recipe.check(heads)
    lists, qrels = as_lists(examples)
    if isinstance(validation, (int, float)):
        lists, held_out = split(lists, validation, recipe.seed)
        validated = Judged(held_out, qrels)
    else:
        validated = as_lists(validation, "validation")
    if "published" in heads.provenance:
        check_published(heads, model, load_config(model, load.get("revision")))
    load = Origin({}, heads).loading(load)
    loaded = load_model(model, layers=heads.deepest + 1, **load)
    training = Judged(lists, qrels)
    return align_lists(
        loaded, heads, training, target, validation=validated, recipe=recipe, progress=progress
    )


def align_lists(
    model: LoadedModel,
    heads: HeadSet,
    training: Judged,
    target: str | os.PathLike,
    *,
    validation: Judged,
    recipe: AlignRecipe,
    progress: bool = True,
) -> pd.DataFrame:
    """Trim lists, mine their pairs under the unaligned heads and train; see ``align_heads``."""
    from headrank.align.loop import TrainingData, trained_readers
    from headrank.align.train import align as train
    from headrank.align.train import check_step

    folders = Folders(target, recipe.checkpoint)
    folders.check()
    heads.check_model(model.layers, model.heads, model.digest)
    _check_held_out(training.lists, validation.lists)
    recipe.check(heads)
    reader = HeadReader.of(model, recipe.prompt_for(heads), heads)
    reader.builder.check_wrapper(heads.provenance, "the heads")
    trimmed = trim_judged(training, recipe.documents)
    held = trim_judged(validation, recipe.documents, "validation")
    # A list of two grades has a pair.
    check_step(len(trimmed.lists), recipe.options)
    for one in trained_readers(reader, recipe.options):
        one.check(trimmed.lists)
    reader.check(held.lists, recipe.seed)
    # Nobody sees the margins: lists are read only where these decide.
    asked = replace(recipe.pairs, margins=False)
    if recipe.checkpoint is None:
        pairs = mine_with_model(reader, trimmed, asked, recipe.seed, progress)
    else:
        folder = Path(recipe.checkpoint)
        check_settings(folder, settings(reader, (trimmed, held), recipe.options, recipe.seed))
        make_checkpoint(folder)
        begun = mining_checkpoint(reader, trimmed.lists, recipe.seed, folder / PAIRS, __version__)
        # The end of the training removes it.
        with contextlib.closing(begun):
            pairs = mine_with_model(reader, trimmed, asked, recipe.seed, progress, begun)
    return train(
        reader,
        TrainingData(trimmed, pairs, held, labelled=len(training.lists)),
        folders,
        options=recipe.options,
        seed=recipe.seed,
        progress=progress,
    )


align = align_heads
"""Its name up to version 0.2."""


def split(
    lists: Sequence[CandidateList], share: float, seed: int
) -> tuple[list[CandidateList], list[CandidateList]]:
    """Return training and held-out lists; the seed decides which, not their order.

    Lists of one query text stay together, under whatever ids.

    Raises:
        HeadRankError: the share leaves one side without a list.
    """
    texts = list(dict.fromkeys(normalised(one.query) for one in lists))
    held = round(share * len(texts))
    if not 0 < held < len(texts):
        raise HeadRankError(
            f"holding out {share} of {len(texts)} queries leaves {len(texts) - held} to train on "
            f"and {held} to validate on; give more queries or validation queries of their own"
        )
    order = query_generator(seed, "hold-out").permutation(len(texts))
    chosen = {texts[number] for number in order[:held]}
    kept = [one for one in lists if normalised(one.query) not in chosen]
    return kept, [one for one in lists if normalised(one.query) in chosen]


def _check_held_out(lists: Sequence[CandidateList], validation: Sequence[CandidateList]) -> None:
    """Refuse a validation query that also trains, under whatever id."""
    known = {normalised(one.query): one.query_id for one in lists}
    for one in validation:
        if normalised(one.query) in known:
            raise HeadRankError(
                f"validation query '{brief(one.query_id)}' also stands among the training queries, "
                f"as {known[normalised(one.query)]!r}; validate on queries that do not train"
            )
