"""Query sets: named samples of a collection's queries, each with one role."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from headrank.collections.collection import (
    load_candidates,
    load_documents,
    load_qrels,
    load_queries,
)
from headrank.data.candidates import CandidateList, Passage, query_generator
from headrank.data.ties import TREC_EVAL
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.io.texts import normalised
from headrank.options.lists import POOLS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class QuerySet:
    """A sample of queries with candidates and judgments.

    Attributes:
        lists: in the sample's order, candidates in the first stage's.
        run: the first stage, cut to the candidates.
        dropped: ``{query_id: set that holds the same text}`` of queries left out.
    """

    lists: tuple[CandidateList, ...]
    run: Run
    qrels: Qrels
    dropped: Mapping[str, str]


@dataclass(frozen=True)
class Sampling:
    """Which queries of a split are taken: a slice of a seeded permutation of its pool.

    Attributes:
        pool: ``judged`` (every query with a relevant document) or ``rerankable`` (those whose
            candidates hold a relevant and another document, the only ones whose nDCG a reranker
            can change).
        take: sample size; None takes all that are left, and so does more than there are.
        skip: leaves out the first queries of the same permutation, so two sets of one split can
            be disjoint slices.
        seed: the experiment's seed.

    Raises:
        HeadRankError: unknown pool.
    """

    pool: str = "judged"
    take: int | None = None
    skip: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pool not in POOLS:
            raise HeadRankError(f"pool {self.pool!r} is unknown; allowed: {', '.join(POOLS)}")


def build_set(
    collection: str | os.PathLike,
    run: Run,
    sampling: Sampling,
    *,
    split: str,
    candidates: int,
    earlier: Mapping[str, Mapping[str, str]] | None = None,
) -> QuerySet:
    """Return a seeded sample of a split's queries, without those that another set holds.

    Dropped queries are not replaced: slices of one permutation stay disjoint.

    Args:
        collection: folder of the collection.
        run: first stage of the split's judged queries.
        candidates: documents a query, from the first stage's top.
        earlier: ``{set: {query_id: text}}`` of sets whose queries may not appear, even
            under another id (an evaluation question seen in training would be cheating).

    Raises:
        HeadRankError: no query of the split is left, or every query of the sample is in an
            earlier set.
    """
    queries = load_queries(collection, split)
    qrels = load_qrels(collection).only(queries)
    if not qrels.grades:
        raise HeadRankError(f"{collection}: no judged query has split {split!r}")
    run = run.cut(candidates)
    sampled = sample_queries(run, qrels, sampling, depth=candidates)
    if not sampled:
        raise HeadRankError(
            f"{collection}: no query of split {split!r} is left: {len(qrels.grades)} are judged, "
            f"and of the pool {sampling.pool!r} {sampling.skip} are skipped; lower `skip`"
            + (", or choose pool: judged" if sampling.pool != "judged" else "")
        )
    taken = {
        normalised(text): name for name, texts in (earlier or {}).items() for text in texts.values()
    }
    dropped = {
        query: taken[normalised(queries[query].text)]
        for query in sampled
        if normalised(queries[query].text) in taken
    }
    kept = [query for query in sampled if query not in dropped]
    if not kept:
        raise HeadRankError(
            f"{collection}: each of the {len(sampled)} sampled queries of split {split!r} also "
            f"stands in set {', '.join(sorted(set(dropped.values())))}; choose other queries"
        )
    rankings = {query: run.rankings.get(query, []) for query in kept}
    wanted = {document for ranking in rankings.values() for document, _ in ranking}
    documents = load_documents(collection, wanted)
    lists = tuple(
        CandidateList(
            query,
            queries[query].text,
            tuple(document for document, _ in ranking),
            tuple(
                Passage(documents[document].title, documents[document].text)
                for document, _ in ranking
            ),
        )
        for query, ranking in rankings.items()
    )
    return QuerySet(lists, Run(rankings, run.name), qrels.only(kept), dropped)


def import_run(
    collection: str | os.PathLike,
    path: str | os.PathLike | None,
    queries: Iterable[str],
    excluded: Mapping[str, Collection[str]],
    depth: int,
) -> Run:
    """Return a first stage made elsewhere, for the given queries, without excluded documents.

    Args:
        path: a TREC run, ordered as trec_eval orders it; None takes the collection's own
            candidates.

    Raises:
        HeadRankError: no path, and the collection has no candidates.
    """
    run = load_candidates(collection) if path is None else Run.load(path, TREC_EVAL)
    if run is None:
        raise HeadRankError(
            f"{collection}: the collection has no candidates.run, but first_stage: own asks for "
            "it; set first_stage: bm25 or give a run of the split"
        )
    if run.contradicted:
        logger.warning("%s", run.contradicted.told(path or collection))
    rankings = {
        query: [
            pair for pair in run.rankings.get(query, []) if pair[0] not in excluded.get(query, ())
        ]
        for query in queries
    }
    return Run(rankings, run.name).cut(depth)


def sample_queries(run: Run, qrels: Qrels, sampling: Sampling, *, depth: int) -> list[str]:
    """Return a seeded sample of query ids from the declared pool.

    Args:
        run: the first stage of every judged query.
        qrels: judgments of the split.
        depth: candidates a query, as they will be reranked.
    """
    take, skip = sampling.take, sampling.skip
    eligible = []
    for query, grades in qrels.grades.items():
        relevant = {document for document, grade in grades.items() if grade > 0}
        candidates = {document for document, _ in run.rankings.get(query, [])[:depth]}
        rerankable = bool(relevant & candidates) and bool(candidates - relevant)
        if relevant and (sampling.pool == "judged" or rerankable):
            eligible.append(query)
    eligible.sort()
    permuted = [
        eligible[i] for i in query_generator(sampling.seed, "sample").permutation(len(eligible))
    ]
    sample = permuted[skip:] if take is None else permuted[skip : skip + take]
    if take is not None and len(sample) < take:
        logger.warning(
            "%d queries taken, %d asked for: the pool %r holds %d, and %d are skipped",
            len(sample),
            take,
            sampling.pool,
            len(permuted),
            skip,
        )
    return sample


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
