"""The checks every collection passes before it is used, each with its own message."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headrank.collections.beir import beir_qrels
from headrank.collections.layout import (
    CANDIDATES,
    CORPUS,
    EXCLUDED,
    QRELS,
    QUERIES,
    Query,
    empty_text,
    file_of,
    read_documents,
    read_queries,
)
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.io.texts import text_lines


def check_counts(
    found: Mapping[str, object], expected: Mapping[str, object], source: str | os.PathLike
) -> None:
    """Refuse counts that differ from the pinned ones; keys that are not pinned may be anything.

    Raises:
        HeadRankError: lists every count that differs.
    """
    different = [
        f"{key} {found.get(key)}, expected {value}"
        for key, value in expected.items()
        if found.get(key) != value
    ]
    if different:
        raise HeadRankError(
            f"{source}: " + "; ".join(different) + "; the source is not the version that was "
            "pinned, so results would not be comparable: fetch that version or pin the new counts"
        )


@dataclass(frozen=True)
class Checks:
    """What a collection may lack.

    Attributes:
        evaluated: splits whose queries must all have judgments; None means all.
        absent: documents that may be judged although the corpus does not hold them.
        empty: ``error``, or ``drop`` to count documents without text as absent.
    """

    evaluated: Iterable[str] | None = None
    absent: frozenset[str] = frozenset()
    empty: str = "error"


def check_parts(
    folder: Path,
    *,
    queries: Mapping[str, tuple[int, Query]],
    qrels: Qrels,
    candidates: Run | None,
    exclusions: Mapping[str, set[str]],
    checks: Checks,
) -> dict[str, object]:
    """Return the counts of a collection whose parts fit together.

    Args:
        folder: the collection; its corpus is read once, as a stream.
        queries: ``{query_id: (line number, query)}`` of `unique_queries`.
        qrels, candidates, exclusions: the folder's other files, loaded.

    Raises:
        HeadRankError: a repeated document id, a document without text, a judgment,
            candidate or exclusion of an unknown query or document, or a query without
            judgments in an evaluated split.
    """
    # Which files name documents: {file: (the id's column, {query: documents})}.
    ranked = candidates.rankings if candidates else {}
    named = {
        QRELS: (2, qrels.grades),
        CANDIDATES: (2, {query: [doc for doc, _ in pairs] for query, pairs in ranked.items()}),
        EXCLUDED: (1, exclusions),
    }
    for name, (_, lists) in named.items():
        for query in lists:
            if query not in queries:
                raise HeadRankError(
                    f"{_where(folder, name, {0: query})}: query {query} is not in {QUERIES}; add "
                    "it there or remove its lines here"
                )
    wanted = {doc for _, lists in named.values() for docs in lists.values() for doc in docs}
    documents, unknown, without_text = _scan_corpus(file_of(folder, CORPUS), wanted, checks.empty)
    for name, (column, lists) in named.items():
        # A judgment of an absent document counts as a miss; a candidate must have a text.
        refused = unknown - checks.absent - without_text if name == QRELS else unknown
        for query, doc in ((q, d) for q, docs in lists.items() for d in docs if d in refused):
            where = _where(folder, name, {0: query, column: doc})
            raise HeadRankError(
                f"{where}: document {doc} (query {query}) is not in {CORPUS}; add it there or "
                "remove its lines here"
            )
    _check_judged(file_of(folder, QUERIES), queries, qrels, checks.evaluated)
    grades = Counter(grade for judged in qrels.grades.values() for grade in judged.values())
    counts: dict[str, object] = {
        "documents": documents,
        "queries": len(queries),
        "judged_queries": len(qrels.grades),
        "judgments": sum(grades.values()),
        "grades": {str(grade): grades[grade] for grade in sorted(grades)},
        "splits": dict(sorted(Counter(query.split for _, query in queries.values()).items())),
    }
    if without_text:
        counts["empty"] = len(without_text)
    if candidates is not None:
        counts["candidates"] = sum(len(ranking) for ranking in ranked.values())
    if exclusions:
        counts["excluded"] = sum(len(docs) for docs in exclusions.values())
    return counts


def unique_queries(path: Path) -> dict[str, tuple[int, Query]]:
    """Return ``{query_id: (line number, query)}`` in the file's order.

    Raises:
        HeadRankError: a malformed line, an id twice, or no query at all.
    """
    queries: dict[str, tuple[int, Query]] = {}
    for number, query in read_queries(path):
        first, _ = queries.setdefault(query.query_id, (number, query))
        if first != number:
            raise _repeated(path, number, "query_id", query.query_id, first)
    if not queries:
        raise HeadRankError(f"{path}: there is no query in it")
    return queries


def _check_judged(
    path: Path,
    queries: Mapping[str, tuple[int, Query]],
    qrels: Qrels,
    evaluated: Iterable[str] | None,
) -> None:
    """Refuse a query of an evaluated split that has no judgments."""
    splits = None if evaluated is None else set(evaluated)
    for number, query in queries.values():
        in_use = splits is None or query.split in splits
        if in_use and not qrels.grades.get(query.query_id):
            raise HeadRankError(
                f"{path}:{number}: query {query.query_id} of split {query.split!r} has no "
                "judgments, so it cannot be evaluated; judge it, remove it, or import the "
                "collection with `unjudged: drop`"
            )


def _scan_corpus(path: Path, wanted: set[str], empty: str) -> tuple[int, set[str], set[str]]:
    """Return how many documents have text, the wanted ids not among them, and those without.

    Eight bytes a document are kept, a hash of its id: enough to find a repeated id in a
    corpus of millions, where the ids themselves would take a gigabyte.
    """
    keys = array("q")
    unknown = set(wanted)
    without_text: set[str] = set()
    for number, document in read_documents(path):
        keys.append(hash(document.doc_id))
        if document.contents:
            unknown.discard(document.doc_id)
        elif empty == "drop":
            without_text.add(document.doc_id)
        else:
            raise empty_text(document, f"{path}:{number}")
    if not keys:
        raise HeadRankError(f"{path}: the corpus is empty")
    ordered = np.sort(np.frombuffer(keys, dtype=np.int64))
    suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    lines: dict[str, int] = {}
    for number, document in read_documents(path) if suspects else ():
        # Two ids may share a hash; only equal ids are an error.
        if hash(document.doc_id) in suspects:
            first = lines.setdefault(document.doc_id, number)
            if first != number:
                raise _repeated(path, number, "doc_id", document.doc_id, first)
    return len(keys) - len(without_text), unknown, without_text


def _repeated(path: Path, number: int, field: str, name: str, first: int) -> HeadRankError:
    return HeadRankError(
        f"{path}:{number}: {field} {name!r} already stands in line {first}; keep one of them"
    )


def _where(folder: Path, name: str, fields: Mapping[int, str]) -> str:
    """Return ``file:line`` of the first line with these values in these columns."""
    path = file_of(folder, name)
    paths = [path]
    if name == QRELS and not path.exists():
        # BEIR's lines are a column shorter: none stands for the iteration.
        paths = list(beir_qrels(folder).values())
        fields = {min(column, 1): value for column, value in fields.items()}
    for path in paths:
        for number, line in text_lines(path):
            columns = line.split()
            if columns and all(columns[column] == value for column, value in fields.items()):
                return f"{path}:{number}"
    raise HeadRankError(f"{path}: changed while it was read; run again")
