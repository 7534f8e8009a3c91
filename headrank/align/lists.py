"""Training lists: the relevant candidates, the first stage's hardest others, no position cue."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headrank.align.pairs import Pair, PairSet
from headrank.collections.set_files import load_lists
from headrank.data.candidates import CandidateList, query_generator
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError, brief


class Judged(NamedTuple):
    """Candidate lists and their judgments."""

    lists: Sequence[CandidateList]
    qrels: Qrels


@dataclass(frozen=True)
class TrainingList:
    """One list with its grades ``[docs]`` and pairs ``[pairs]`` as indices of documents."""

    candidates: CandidateList
    grades: np.ndarray
    chosen: np.ndarray
    rejected: np.ndarray


def trim(candidates: CandidateList, qrels: Qrels, documents: int) -> CandidateList | None:
    """Return at most ``documents`` candidates: the relevant ones, then the best-ranked others.

    The highest grades come first and leave half of the places to the others, so that a list
    holds something to prefer them to; places that the others do not fill go to further
    relevant ones. Returns None if the candidates have one grade only.
    """
    grades = qrels.grades_of(candidates.query_id, candidates.doc_ids)
    relevant = [i for i, grade in enumerate(grades) if grade > 0]
    relevant.sort(key=lambda i: (-grades[i], i))
    others = [i for i, grade in enumerate(grades) if grade == 0]
    places = max(documents // 2, documents - len(others))
    relevant = relevant[:places]
    kept = sorted(relevant + others[: documents - len(relevant)])
    if len({grades[i] for i in kept}) < 2:
        return None
    return candidates.take(kept)


def load_training(
    folders: Sequence[str | os.PathLike], documents: int, queries: int | None = None
) -> Judged:
    """Return the trimmed training lists of several query sets, and their judgments.

    Args:
        documents: candidates a list.
        queries: keep only the first so many lists; sets are seeded permutations, so smaller
            training sets are part of larger ones (learning curves).

    Raises:
        HeadRankError: two sets use one query id, no list has two grades, or there are fewer
            lists than asked for.
    """
    lists: list[CandidateList] = []
    grades: dict[str, Mapping[str, int]] = {}
    for folder in folders:
        found = Qrels.load(Path(folder) / "qrels.tsv").grades
        if twice := grades.keys() & found.keys():
            raise HeadRankError(
                f"{folder}: query {brief(min(twice))} also stands in another training set; query "
                "ids must differ"
            )
        grades.update(found)
        lists += load_lists(folder)
    qrels = Qrels(grades)
    trimmed = trim_all(lists, qrels, documents)
    if queries is not None and queries > len(trimmed):
        raise HeadRankError(
            f"{queries} training queries asked for, but only {len(trimmed)} of the sets' queries "
            "have candidates of two grades; take larger sets or fewer queries"
        )
    return Judged(trimmed[:queries], qrels)


def trim_all(
    lists: Iterable[CandidateList], qrels: Qrels, documents: int, use: str = "training"
) -> list[CandidateList]:
    """Return the trimmed lists that hold two grades.

    Args:
        use: what the lists are for, in the message.

    Raises:
        HeadRankError: none does.
    """
    trimmed = [kept for one in lists if (kept := trim(one, qrels, documents)) is not None]
    if not trimmed:
        raise HeadRankError(
            f"no {use} query has candidates of two grades; alignment needs graded (or relevant "
            "and other) documents among the candidates"
        )
    return trimmed


def trim_judged(judged: Judged, documents: int, use: str = "training") -> Judged:
    """Return the trimmed lists that hold two grades, with the judgments; see `trim_all`."""
    return Judged(trim_all(*judged, documents, use), judged.qrels)


def shuffled(
    candidates: CandidateList, qrels: Qrels, pairs: list[Pair], seed: int, epoch: int
) -> TrainingList:
    """Return the list in an order drawn for this epoch, with its pairs as indices."""
    generator = query_generator(seed, "epoch", str(epoch), candidates.key)
    moved = candidates.take(generator.permutation(len(candidates.doc_ids)))
    place = {document: i for i, document in enumerate(moved.doc_ids)}
    return TrainingList(
        candidates=moved,
        grades=np.array(qrels.grades_of(moved.query_id, moved.doc_ids)),
        chosen=np.array([place[pair.chosen] for pair in pairs]),
        rejected=np.array([place[pair.rejected] for pair in pairs]),
    )


def pair_lists(
    lists: Iterable[CandidateList], pairs: PairSet, qrels: Qrels
) -> list[tuple[CandidateList, list[Pair]]]:
    """Return each list with its pairs; lists without a pair are left out.

    Raises:
        HeadRankError: no pairs, pairs for a query or document that is not in the lists, or a
            pair that the judgments do not bear out.
    """
    known = {candidates.query_id: candidates for candidates in lists}
    matched = []
    for query, group in pairs.by_query().items():
        if query not in known:
            raise HeadRankError(
                f"query {brief(query)} has pairs but no training list; mine the pairs of these "
                "lists"
            )
        missing = {p.chosen for p in group} | {p.rejected for p in group}
        missing -= set(known[query].doc_ids)
        if missing:
            raise HeadRankError(
                f"query {brief(query)}: document {brief(min(missing))} is in a pair but not in the "
                "training list; mine the pairs of these lists"
            )
        for pair in group:
            _check_preference(pair, qrels)
        matched.append((known[query], group))
    if not matched:
        raise HeadRankError("there is no pair to learn from; mine the pairs of these lists")
    return matched


def _check_preference(pair: Pair, qrels: Qrels) -> None:
    """Refuse a pair of other judgments: it would teach the opposite."""
    chosen, rejected = qrels.grades_of(pair.query_id, (pair.chosen, pair.rejected))
    if chosen <= rejected:
        raise HeadRankError(
            f"query {brief(pair.query_id)}: a pair prefers document {brief(pair.chosen)} of grade "
            f"{chosen} to {pair.rejected} of grade {rejected}; mine the pairs of these judgments"
        )
