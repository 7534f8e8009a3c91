"""Candidate lists: what is read and ranked, in a declared order, of declared queries."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headrank.errors import HeadRankError
from headrank.files import read_jsonl, write_jsonl
from headrank.options.lists import ORDER, POOLS
from headrank.texts import half_pair, normalised
from headrank.trec import Qrels, Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Passage:
    """One candidate's text; the title may be empty."""

    title: str
    text: str


@dataclass(frozen=True)
class CandidateList:
    """One query and its candidates, in the order in which they stand in the prompt."""

    query_id: str
    query: str
    doc_ids: tuple[str, ...]
    passages: tuple[Passage, ...]

    def __post_init__(self) -> None:
        if len(self.doc_ids) != len(self.passages):
            raise HeadRankError(
                f"query {self.query_id}: {len(self.doc_ids)} document ids for "
                f"{len(self.passages)} passages"
            )
        if len(set(self.doc_ids)) != len(self.doc_ids):
            twice = next(d for d in self.doc_ids if self.doc_ids.count(d) > 1)
            raise HeadRankError(
                f"query {self.query_id}: document {twice} is listed twice; keep one"
            )
        for name in (self.query_id, *self.doc_ids):
            if not isinstance(name, str):
                raise HeadRankError(
                    f"query {self.query_id!r}: id {name!r} is a {type(name).__name__}; give a text"
                )
            if not name.isascii() and half_pair(name) is not None:
                raise HeadRankError(
                    f"query {self.query_id!r}: id {name!r} holds half of a surrogate pair, which "
                    "is no text; repair the input's encoding"
                )


def arrange(candidates: CandidateList, order: str, seed: int) -> CandidateList:
    """Return the list in one of the declared prompt orders.

    Args:
        candidates: in the first stage's order, best first.
        order: ``first-stage`` (best first), ``reversed`` (best next to the query), or
            ``shuffled`` / ``shuffled-N``: a permutation that depends on the seed, N and
            the query's id only, so a larger sample leaves each list as it was.
        seed: the experiment's seed.

    Raises:
        HeadRankError: the order is not one of these.
    """
    check_order(order)
    places = np.arange(len(candidates.doc_ids))
    if order == "reversed":
        places = places[::-1]
    elif order.startswith("shuffled"):
        places = query_generator(seed, order, candidates.query_id).permutation(places)
    return replace(
        candidates,
        doc_ids=tuple(candidates.doc_ids[i] for i in places),
        passages=tuple(candidates.passages[i] for i in places),
    )


def check_order(order: str) -> None:
    """Refuse a name that is not a prompt order."""
    if not ORDER.fullmatch(order):
        raise HeadRankError(
            f"order {order!r} is unknown; allowed: first-stage, reversed, shuffled, shuffled-2, ..."
        )


def query_generator(seed: int, *names: str) -> np.random.Generator:
    """Return a random generator that depends on the seed and the names alone."""
    key = hashlib.sha256("\x1f".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(key[:8], "big"))


def sample_queries(
    run: Run,
    qrels: Qrels,
    *,
    depth: int,
    pool: str = "judged",
    take: int | None = None,
    skip: int = 0,
    seed: int = 0,
) -> list[str]:
    """Return a seeded sample of query ids from the declared pool.

    Args:
        run: the first stage of every judged query.
        qrels: judgments of the split.
        depth: candidates a query, as they will be reranked.
        pool: ``judged`` (every query with a relevant document) or ``rerankable`` (those
            whose first ``depth`` candidates hold a relevant and another document, the
            only ones whose nDCG a reranker can change).
        take: sample size; None takes all that are left, and so does more than there are.
        skip: leaves out the first queries of the same seeded permutation, so two sets of
            one split can be disjoint slices.
        seed: the experiment's seed.

    Raises:
        HeadRankError: unknown pool.
    """
    if pool not in POOLS:
        raise HeadRankError(f"pool {pool!r} is unknown; allowed: {', '.join(POOLS)}")
    eligible = []
    for query, grades in qrels.grades.items():
        relevant = {document for document, grade in grades.items() if grade > 0}
        candidates = {document for document, _ in run.rankings.get(query, [])[:depth]}
        rerankable = bool(relevant & candidates) and bool(candidates - relevant)
        if relevant and (pool == "judged" or rerankable):
            eligible.append(query)
    eligible.sort()
    permuted = [eligible[i] for i in query_generator(seed, "sample").permutation(len(eligible))]
    sample = permuted[skip:] if take is None else permuted[skip : skip + take]
    if take is not None and len(sample) < take:
        logger.warning(
            "%d queries taken, %d asked for: the pool %r holds %d, and %d are skipped",
            len(sample),
            take,
            pool,
            len(permuted),
            skip,
        )
    return sample


def save_set(
    folder: str | os.PathLike,
    lists: Iterable[CandidateList],
    run: Run,
    qrels: Qrels,
) -> None:
    """Write a query set: its queries, the documents they need, the candidates and judgments.

    Files: ``queries.jsonl``, ``documents.jsonl``, ``candidates.run``, ``qrels.tsv``.
    """
    folder = Path(folder)
    lists = list(lists)
    queries = [candidates.query_id for candidates in lists]
    documents: dict[str, Passage] = {}
    for candidates in lists:
        documents.update(zip(candidates.doc_ids, candidates.passages, strict=True))
    write_jsonl(
        folder / "queries.jsonl",
        ({"query_id": c.query_id, "text": c.query} for c in lists),
    )
    write_jsonl(
        folder / "documents.jsonl",
        (
            {"doc_id": name, "title": passage.title, "text": passage.text}
            for name, passage in sorted(documents.items())
        ),
    )
    Run({query: run.rankings.get(query, []) for query in queries}, run.name).save(
        folder / "candidates.run"
    )
    qrels.only(queries).save(folder / "qrels.tsv")


def load_lists(folder: str | os.PathLike) -> list[CandidateList]:
    """Return the candidate lists of a query set, each in the first stage's order.

    Queries without a candidate are left out: there is nothing to rank, and the
    evaluation counts them as 0.

    Raises:
        HeadRankError: a file or a field is missing, or a candidate has no document.
    """
    folder = Path(folder)
    documents = {
        document: Passage(title, text)
        for document, title, text in _records(folder / "documents.jsonl", "doc_id", "title", "text")
    }
    run = Run.load(folder / "candidates.run")
    lists = []
    for query, text in _records(folder / "queries.jsonl", "query_id", "text"):
        doc_ids = tuple(document for document, _ in run.rankings.get(query, []))
        missing = [document for document in doc_ids if document not in documents]
        if missing:
            raise HeadRankError(
                f"{folder}: query {query} has candidate {missing[0]}, which documents.jsonl does "
                "not hold; delete the folder and sample the set again"
            )
        if doc_ids:
            passages = tuple(documents[document] for document in doc_ids)
            lists.append(CandidateList(query, text, doc_ids, passages))
    return lists


def _records(path: Path, *names: str) -> Iterator[tuple[str, ...]]:
    """Yield the named fields of each line."""
    for number, record in read_jsonl(path):
        if not all(isinstance(record.get(name), str) for name in names):
            raise HeadRankError(
                f"{path}:{number}: needs the texts {', '.join(names)}; sample the set again"
            )
        yield tuple(record[name] for name in names)


def check_disjoint(roles: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
    """Refuse query sets of different roles that share a query.

    Args:
        roles: ``{role: {set name: {query_id: text}}}``. Texts are compared case-folded:
            the same question under another id is the same query.

    Raises:
        HeadRankError: names the sets, the query and the remedy.
    """
    seen: dict[str, tuple[str, str, str]] = {}
    for role, sets in roles.items():
        for name, queries in sets.items():
            for query, text in queries.items():
                known = seen.setdefault(normalised(text), (role, name, query))
                if known[0] != role:
                    raise HeadRankError(
                        f"query {query!r} of set {name} ({role}) also stands in set {known[1]} "
                        f"({known[0]}) as {known[2]!r}; change `skip`, `take` or the split so "
                        "that evaluation queries are never seen in profiling or training"
                    )
