"""Effectiveness of a run, a value for every judged query, computed by trec_eval's code."""

from __future__ import annotations

import functools
import logging
import math
import re
from collections.abc import Iterable, Mapping

import pandas as pd

from headrank.data.trec import Qrels, Run, check_grade
from headrank.errors import HeadRankError, brief
from headrank.io.extras import missing

try:
    import pytrec_eval
except ModuleNotFoundError:
    raise missing("evaluation", "headrank.evaluation.measures", "pytrec_eval") from None

logger = logging.getLogger(__name__)

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
    run: Run,
    qrels: Qrels,
    measures: Iterable[str],
    relevance_level: int = 1,
    *,
    tell: bool = True,
) -> pd.DataFrame:
    """Return one row a judged query and measure: columns query, measure, value.

    Every query of the qrels counts, in their order: one that the run lacks has value 0, and
    so has one without a relevant document. Queries of the run without judgments are left
    out. A document without a judgment is not relevant; negative grades gain nothing.

    The run's own order is what is measured: trec_eval sorts by score as float32 and breaks
    ties by docid descending, so it is given strictly falling whole numbers in their place.
    For trec_eval's own numbers of a file with ties, load it in trec_eval's order:
    ``Run.load(path, ties="trec_eval")``.

    Args:
        measures: names as in ``MEASURES``; the values keep that order within a query.
        relevance_level: lowest grade that is relevant to AP, RR, P and R (2 for TREC DL);
            nDCG uses all grades.
        tell: log a warning of how many judged queries the run lacks.

    Raises:
        HeadRankError: an unknown measure, a relevance level below 1, a grade that
            `headrank.data.trec.check_grade` refuses, a score that is not finite, a ranking that is
            not in the order of its scores or holds a document twice, an id that trec_eval
            cannot read, no query in common, or a value that trec_eval's code did not compute.
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
    if tell and (lacking := missing_queries(run, qrels)):
        _tell_missing(run.name, len(lacking), len(judged))
    values = _computed(run, judged, {name for name in official.values() if name}, relevance_level)
    rows = []
    for query, grades in judged.items():
        ranking = run.rankings.get(query, [])
        for name in measures:
            if official[name]:
                value = _value(values, query, name, ranking, grades, relevance_level)
            else:
                depth = int(name.partition("@")[2])
                value = sum(document in grades for document, _ in ranking[:depth]) / depth
            rows.append((query, name, value))
    return pd.DataFrame(rows, columns=["query", "measure", "value"])


def missing_queries(run: Run, qrels: Qrels) -> list[str]:
    """Return the judged queries that the run lacks; `evaluate` counts each as 0."""
    return [query for query, grades in qrels.grades.items() if grades and query not in run.rankings]


def _official(name: str) -> str | None:
    """Return trec_eval's name of a measure, None for the one we compute ourselves."""
    found = re.fullmatch(r"(nDCG|P|R|judged)@([1-9][0-9]*)|(AP|RR)", name)
    if not found:
        raise HeadRankError(
            f"unknown measure {name!r}; allowed: {', '.join(MEASURES)} (k a whole number from 1)"
        )
    family = found[1] or found[3]
    return None if family == "judged" else _TREC_EVAL[family] + (found[2] or "")


@functools.cache  # a study evaluates one run many times
def _tell_missing(name: str, lacking: int, judged: int) -> None:
    logger.warning(
        "run %s: %d of %d judged queries are missing, counted as 0", name, lacking, judged
    )


def _computed(
    run: Run, judged: Mapping[str, Mapping[str, int]], names: set[str], relevance_level: int
) -> dict[str, dict[str, float]]:
    """Return trec_eval's values, ``{query: {its name of a measure: value}}``."""
    checked = {
        query: {
            document: check_grade(grade, f"query {brief(query)}, document {brief(document)}")
            for document, grade in grades.items()
        }
        for query, grades in judged.items()
    }
    ranked = {
        query: {document: len(ranking) - i for i, (document, _) in enumerate(ranking)}
        for query, ranking in run.rankings.items()
        if query in judged
    }
    try:
        evaluator = pytrec_eval.RelevanceEvaluator(checked, names, relevance_level=relevance_level)
        return evaluator.evaluate(ranked)
    except (TypeError, ValueError, OverflowError, SystemError) as error:
        raise HeadRankError(
            f"run {run.name}: trec_eval cannot read the ids or grades ({error}); ids are texts"
        ) from None


def _value(
    values: Mapping[str, Mapping[str, float]],
    query: str,
    name: str,
    ranking: list[tuple[str, float]],
    grades: Mapping[str, int],
    relevance_level: int,
) -> float:
    """Return one value of trec_eval's, certain that it was computed.

    Its code gives no error where it fails: a query is left out or counts as 0.
    """
    if not ranking:
        return 0.0
    value = values.get(query, {}).get(_official(name), math.nan)
    if not value:
        # Zero is right only where no relevant document stands in the part that is measured.
        depth = int(name.partition("@")[2] or len(ranking))
        least = 1 if name.startswith("nDCG") else relevance_level
        if any(grades.get(document, 0) >= least for document, _ in ranking[:depth]):
            value = math.nan
    if not math.isfinite(value):
        raise HeadRankError(
            f"query {brief(query)}: trec_eval's code gave no {name} although the run ranks this "
            "query; nothing was measured, look for an id or a grade that it cannot read"
        )
    return value


def _check(query: str, ranking: list[tuple[str, float]]) -> None:
    """Refuse a ranking that trec_eval would read in another way than we mean it."""
    previous = math.inf
    for rank, (document, score) in enumerate(ranking, start=1):
        if not math.isfinite(score):
            raise HeadRankError(
                f"query {brief(query)}, document {brief(document)}: score is {score}; a failed "
                "score must not pass as a low rank, repair the run"
            )
        if score > previous:
            raise HeadRankError(
                f"query {brief(query)}, rank {rank}: score {score} is above the one before "
                f"({previous}); order the run by score (Run.from_scores does)"
            )
        previous = score
        if "\0" in document:
            raise HeadRankError(
                f"query {brief(query)}: document '{brief(document)}' holds a null character, at "
                "which trec_eval cuts an id; remove it"
            )
    if len({document for document, _ in ranking}) < len(ranking):
        raise HeadRankError(
            f"query {brief(query)}: a document is ranked twice; keep its first place"
        )


def _some(queries: Iterable[str]) -> str:
    names = list(queries)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "none"
