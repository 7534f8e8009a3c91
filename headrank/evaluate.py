"""Effectiveness of a run, a value for every judged query, computed by trec_eval's code."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import pandas as pd
import pytrec_eval

from headrank.errors import HeadRankError
from headrank.trec import Qrels, Run

MEASURES = {
    "nDCG@k": "gain of the first k, discounted by rank, over the ideal order's; gain = grade",
    "AP": "average precision over the whole ranking",
    "RR": "1 / rank of the first relevant document",
    "P@k": "share of the first k ranks that hold a relevant document",
    "R@k": "share of the relevant documents that are in the first k",
    "judged@k": "share of the first k ranks that hold a judged document",
}
"""Names ``evaluate`` takes, k any whole number from 1."""

_TREC_EVAL = {"nDCG": "ndcg_cut_", "AP": "map", "RR": "recip_rank", "P": "P_", "R": "recall_"}


def evaluate(
    run: Run, qrels: Qrels, measures: Iterable[str], relevance_level: int = 1
) -> pd.DataFrame:
    """Return one row a judged query and measure: columns query, measure, value.

    Every query of the qrels counts, in their order: one that the run lacks has value 0, and
    so has one without a relevant document. Queries of the run without judgments are left
    out. A document without a judgment is not relevant; negative grades gain nothing.

    The run's own order is what is measured: trec_eval sorts by score as float32 and breaks
    ties by docid descending, so it is given strictly falling whole numbers in their place.

    Args:
        measures: names as in ``MEASURES``; the values keep that order within a query.
        relevance_level: lowest grade that is relevant to AP, RR, P and R (2 for TREC DL);
            nDCG uses all grades.

    Raises:
        HeadRankError: an unknown measure, a relevance level below 1, a score that is not
            finite, a ranking that is not in the order of its scores or holds a document
            twice, or no query in common.
    """
    measures = list(dict.fromkeys(measures))
    if not measures:
        raise HeadRankError(f"no measure to compute; name some of {', '.join(MEASURES)}")
    official = {name: _official(name) for name in measures}
    if relevance_level < 1:
        raise HeadRankError(
            f"relevance level is {relevance_level}; grade 0 is not relevant, so 1 is the lowest"
        )
    for query, ranking in run.rankings.items():
        _check(query, ranking)
    judged = {query: grades for query, grades in qrels.grades.items() if grades}
    if not judged.keys() & run.rankings.keys():
        raise HeadRankError(
            f"run {run.name} and the qrels share no query "
            f"(run: {_some(run.rankings)}; qrels: {_some(judged)}); check the files"
        )
    evaluator = pytrec_eval.RelevanceEvaluator(
        {
            query: {document: int(grade) for document, grade in grades.items()}
            for query, grades in judged.items()
        },
        {name for name in official.values() if name},
        relevance_level=relevance_level,
    )
    values = evaluator.evaluate(
        {
            query: {document: len(ranking) - i for i, (document, _) in enumerate(ranking)}
            for query, ranking in run.rankings.items()
            if query in judged
        }
    )
    rows = []
    for query, grades in judged.items():
        ranking = run.rankings.get(query, [])
        for name in measures:
            if official[name]:
                value = values[query][official[name]] if ranking else 0.0
            else:
                depth = int(name.partition("@")[2])
                value = sum(document in grades for document, _ in ranking[:depth]) / depth
            rows.append((query, name, value))
    return pd.DataFrame(rows, columns=["query", "measure", "value"])


def _official(name: str) -> str | None:
    """Return trec_eval's name of a measure, None for the one we compute ourselves."""
    found = re.fullmatch(r"(nDCG|P|R|judged)@([1-9][0-9]*)|(AP|RR)", name)
    if not found:
        raise HeadRankError(
            f"unknown measure {name!r}; allowed: {', '.join(MEASURES)} (k a whole number from 1)"
        )
    family = found[1] or found[3]
    return None if family == "judged" else _TREC_EVAL[family] + (found[2] or "")


def _check(query: str, ranking: list[tuple[str, float]]) -> None:
    """Refuse a ranking that trec_eval would read in another way than we mean it."""
    previous = math.inf
    for rank, (document, score) in enumerate(ranking, start=1):
        if not math.isfinite(score):
            raise HeadRankError(
                f"query {query}, document {document}: score is {score}; a failed score must not "
                "pass as a low rank, repair the run"
            )
        if score > previous:
            raise HeadRankError(
                f"query {query}, rank {rank}: score {score} is above the one before "
                f"({previous}); order the run by score (Run.from_scores does)"
            )
        previous = score
    if len({document for document, _ in ranking}) < len(ranking):
        raise HeadRankError(f"query {query}: a document is ranked twice; keep its first place")


def _some(queries: Iterable[str]) -> str:
    names = list(queries)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "none"
