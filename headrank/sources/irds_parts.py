"""What one dataset of ir_datasets asks and judges, checked before its corpus is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from headrank.collection import Query, check_counts
from headrank.errors import HeadRankError
from headrank.trec import Qrels, Run


@dataclass(frozen=True)
class Part:
    """One dataset's queries, judgments and candidates; its queries get the split's name."""

    split: str
    dataset_id: str
    dataset: Any
    queries: list[Query]
    qrels: Qrels
    run: Run | None


def load_part(
    irds: ModuleType,
    split: str,
    entry: Mapping[str, Any],
    dataset: Any,
    candidates: bool,
    unjudged: str,
    depth: int | None = None,
) -> Part:
    """Return one dataset's part of a collection, its counts checked.

    Args:
        depth: keep so many candidates a query, from the top; None keeps all.
    """
    dataset_id, expected = entry["id"], dict(entry.get("expect") or {})
    qrels = _qrels(dataset, dataset_id)
    queries = [Query(q.query_id, q.default_text(), split) for q in dataset.queries_iter()]
    run = _candidates(dataset, dataset_id) if candidates else None
    if "grades" in expected:
        # YAML reads the grades as numbers, JSON can only have them as text.
        expected["grades"] = {str(grade): n for grade, n in expected["grades"].items()}
    check_counts(_counts(queries, qrels), expected, dataset_id)
    _check_judged(irds, dataset_id, queries, qrels, unjudged)
    if run is not None:
        kept = {q: run.rankings[q][:depth] for q in qrels.grades if q in run.rankings}
        run = Run(kept, run.name)
    return Part(split, dataset_id, dataset, queries, qrels, run)


def judged_queries(parts: list[Part]) -> dict[str, Query]:
    """Return ``{query_id: query}`` of the judged queries of all parts."""
    asked: dict[str, Query] = {}
    for part in parts:
        for query in part.queries:
            if not part.qrels.grades.get(query.query_id):
                continue
            known = asked.setdefault(query.query_id, query)
            if known is not query:
                raise HeadRankError(
                    f"query id {query.query_id} stands in the splits {known.split!r} and "
                    f"{part.split!r}; declare a collection for each"
                )
    return asked


def _qrels(dataset: Any, dataset_id: str) -> Qrels:
    """Return the judgments; two different grades for one pair are an error."""
    grades: dict[str, dict[str, int]] = {}
    for line in dataset.qrels_iter():
        known = grades.setdefault(line.query_id, {}).setdefault(line.doc_id, int(line.relevance))
        if known != line.relevance:
            raise HeadRankError(
                f"{dataset_id}: query {line.query_id}, document {line.doc_id} has grades {known} "
                f"and {line.relevance}; export another version of the dataset"
            )
    return Qrels(grades)


def _candidates(dataset: Any, dataset_id: str) -> Run:
    """Return the dataset's scored documents as a run."""
    if not dataset.has_scoreddocs():
        raise HeadRankError(
            f"{dataset_id}: the dataset has no scored documents; set `candidates: false` and let "
            "BM25 retrieve"
        )
    scores: dict[str, dict[str, float]] = {}
    for line in dataset.scoreddocs_iter():
        scores.setdefault(line.query_id, {})[line.doc_id] = float(line.score)
    # DL 2019 and 2020 list 1,000 documents a query, unordered, each with score 0.
    if all(
        len(documents) > 1 and len(set(documents.values())) == 1 for documents in scores.values()
    ):
        raise HeadRankError(
            f"{dataset_id}: its scored documents all have the same score, so they are no ranking; "
            "set `candidates: false` and let BM25 retrieve"
        )
    return Run.from_scores(scores, "ir_datasets")


def _counts(queries: list[Query], qrels: Qrels) -> dict[str, object]:
    """Return the source's counts, before anything is left out."""
    grades = [grade for documents in qrels.grades.values() for grade in documents.values()]
    return {
        "queries": len(queries),
        "judged_queries": len(qrels.grades),
        "judgments": len(grades),
        "grades": {str(grade): grades.count(grade) for grade in sorted(set(grades))},
    }


def _check_judged(
    irds: ModuleType, dataset_id: str, queries: list[Query], qrels: Qrels, unjudged: str
) -> None:
    """Refuse queries without judgments unless they may be dropped; name the better id."""
    lacking = sum(not qrels.grades.get(query.query_id) for query in queries)
    if lacking and unjudged == "error":
        subset = f"{dataset_id}/judged"
        advice = f"export {subset}, or " if subset in irds.registry else ""
        raise HeadRankError(
            f"{dataset_id}: {lacking} of {len(queries)} queries have no judgments; {advice}set "
            "`unjudged: drop`"
        )
