"""Profiling and aligning heads on a user's own labelled queries, in two calls.

heads = profile_heads("my/model", examples).select(SelectionOptions(entropy_weight=0.1))
align("my/model", heads, examples, "my-adapter")
ranker = HeadRanker.from_pretrained("my/model", adapter="my-adapter")
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headrank.align.lists import Judged, trim_all
from headrank.align.mine import mine_with_model
from headrank.align.options import AlignOptions
from headrank.align.places import check_folders
from headrank.data.candidates import CandidateList, Passage, arrange, as_candidates, query_generator
from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels, check_grade
from headrank.errors import HeadRankError
from headrank.heads.profile import Profile, profile_readings
from headrank.io.texts import normalised
from headrank.models.decoder import LoadedModel, load_model
from headrank.options.pairs import PairOptions
from headrank.options.prompt import PromptOptions
from headrank.ranker.origin import Origin
from headrank.reading import sliding_window
from headrank.reading.layout import check_heads
from headrank.reading.prefill import read_lists
from headrank.reading.prompt import PromptBuilder
from headrank.reading.readings import ListReading


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


def as_lists(examples: Iterable[LabelledQuery]) -> Judged:
    """Return the candidate lists and judgments of labelled queries.

    Raises:
        HeadRankError: another number of grades than passages, a grade that is not a whole
            number or beyond `headrank.data.trec.MAX_GRADE`, or two queries of one id.
    """
    lists, grades = [], {}
    for example in examples:
        candidates = as_candidates(example.query, example.passages, query_id=example.query_id)
        name = candidates.query_id
        checked = [check_grade(grade, f"query {name}") for grade in example.grades]
        if len(checked) != len(candidates.doc_ids):
            raise HeadRankError(
                f"query {name}: {len(checked)} grades for {len(candidates.doc_ids)} passages"
            )
        if name in grades:
            raise HeadRankError(f"query {name} stands twice among the labelled queries")
        lists.append(candidates)
        grades[name] = dict(zip(candidates.doc_ids, checked, strict=True))
    return Judged(lists, Qrels(grades))


def profile_heads(
    model: str | os.PathLike,
    examples: Iterable[LabelledQuery],
    *,
    prompt: PromptOptions | None = None,
    order: str = "shuffled",
    seed: int = 13,
    dtype: str = "float32",
    device: str = "cpu",
    revision: str | None = None,
    max_logits: bool = False,
    progress: bool = True,
) -> Profile:
    """Return the profile of every head of a model; ``.select(...)`` gives the heads to read.

    Args:
        max_logits: also profile largest logits, by which criterion ``max-logit`` selects.

    Raises:
        HeadRankError: the model cannot be loaded, a list does not fit, or no query has
            passages of two grades.
    """
    lists, qrels = as_lists(examples)
    loaded = load_model(model, dtype=dtype, device=device, revision=revision)
    return profile_lists(
        loaded,
        lists,
        qrels,
        prompt=prompt,
        order=order,
        seed=seed,
        max_logits=max_logits,
        progress=progress,
    )


def profile_lists(
    model: LoadedModel,
    lists: Iterable[CandidateList],
    qrels: Qrels,
    *,
    prompt: PromptOptions | None = None,
    order: str = "shuffled",
    seed: int = 13,
    max_logits: bool = False,
    progress: bool = True,
) -> Profile:
    """Return the profile over lists that are loaded already, with its provenance."""
    builder = PromptBuilder(model.tokenizer, prompt or PromptOptions(), model.context)
    moved = [arrange(candidates, order, seed) for candidates in lists]
    provenance = {
        "model": Path(model.name).name,
        "model_digest": model.digest,
        "layers": model.layers,
        "heads": model.heads,
        "dtype": model.dtype,
        "prompt": builder.options.described(),
        "wrapper": builder.wrapper,
        "order": order,
        "seed": seed,
        **sliding_window.provenance(model),
    }
    readings = read_lists(
        model,
        builder,
        moved,
        calibrate=False,
        keep_max_logits=max_logits,
        label="profiling",
        progress=progress,
    )
    return profile_readings(_checked(readings), qrels, provenance)


def _checked(readings: Iterable[ListReading]) -> Iterator[ListReading]:
    for reading in readings:
        reading.check("profiling")
        yield reading


def align(
    model: str | os.PathLike,
    heads: HeadSet,
    examples: Iterable[LabelledQuery],
    target: str | os.PathLike,
    *,
    validation: Iterable[LabelledQuery] | None = None,
    hold_out: float = 0.2,
    documents: int = 12,
    options: AlignOptions | None = None,
    pairs: PairOptions | None = None,
    prompt: PromptOptions | None = None,
    seed: int = 13,
    dtype: str | None = None,
    device: str = "cpu",
    revision: str | None = None,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Write an adapter of the heads to ``target``; return nDCG@10 by epoch on held-out queries.

    Args:
        heads: the heads to align, selected on this model.
        validation: held-out queries; by default a seeded share ``hold_out`` of the examples.
        documents: passages a training list keeps: the relevant ones and the best others.
        prompt: by default the one that the heads were selected with.
        dtype: of the weights; by default the one that the heads were selected in.
        checkpoint: folder from which a killed run goes on.

    Raises:
        HeadRankError: as ``profile_heads``; heads of another model; too few queries to hold
            any out or to fill a step; a validation query that also trains; a folder that
            holds anything but an adapter that was written there, or a checkpoint inside it.
    """
    check_folders(target, checkpoint)
    if prompt is not None:
        check_heads(heads, prompt.layout)
    lists, qrels = as_lists(examples)
    if validation is None:
        lists, held_out = split(lists, hold_out, seed)
        validated = Judged(held_out, qrels)
    else:
        validated = as_lists(validation)
    loaded = load_model(
        model,
        dtype=dtype or Origin({}, heads).dtype() or "float32",
        device=device,
        layers=heads.deepest + 1,
        revision=revision,
    )
    return align_lists(
        loaded,
        heads,
        Judged(lists, qrels),
        target,
        validation=validated,
        documents=documents,
        options=options,
        pairs=pairs,
        prompt=prompt,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
    )


def align_lists(
    model: LoadedModel,
    heads: HeadSet,
    training: Judged,
    target: str | os.PathLike,
    *,
    validation: Judged,
    documents: int = 12,
    options: AlignOptions | None = None,
    pairs: PairOptions | None = None,
    prompt: PromptOptions | None = None,
    seed: int = 13,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Trim lists, mine their pairs under the unaligned heads and train; see ``align``."""
    from headrank.align.train import align as train

    check_folders(target, checkpoint)
    heads.check_model(model.layers, model.heads, model.digest)
    _check_held_out(training.lists, validation.lists)
    if prompt is None:
        prompt = Origin({}, heads).prompt() or PromptOptions()
    check_heads(heads, prompt.layout)
    builder = PromptBuilder(model.tokenizer, prompt, model.context)
    builder.check_wrapper(heads.provenance, "the heads")
    trimmed = trim_all(*training, documents)
    mined = mine_with_model(
        model, builder, heads, trimmed, training.qrels, pairs or PairOptions(), seed, progress
    )
    return train(
        model,
        builder,
        heads,
        Judged(trimmed, training.qrels),
        mined,
        target,
        validation=Judged(trim_all(*validation, documents), validation.qrels),
        options=options or AlignOptions(),
        seed=seed,
        checkpoint=checkpoint,
        labelled_queries=len(training.lists),
        progress=progress,
    )


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
                f"validation query {one.query_id!r} also stands among the training queries, as "
                f"{known[normalised(one.query)]!r}; validate on queries that do not train"
            )
