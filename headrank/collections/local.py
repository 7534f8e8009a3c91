"""A collection's folder that the user brings: checked where it is, then copied."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from headrank.collections.absent import Kept, check_choice
from headrank.collections.collection import (
    load_candidates,
    load_exclusions,
    load_qrels,
    load_queries,
    save_collection,
    validate_collection,
)
from headrank.collections.layout import CANDIDATES, CORPUS, Document, file_of, read_documents
from headrank.collections.parts import Parts
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.io.texts import local_path

logger = logging.getLogger(__name__)

CHOICES = ("error", "drop")


def import_local(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    empty: str = "error",
    unjudged: str = "error",
    path: str | None = None,
) -> dict:
    """Copy a folder of our layout to ``target`` after every check; return its counts.

    Errors name the files and lines of ``source``. Nothing is left out unless asked for, and
    what is left out is counted in the description of ``collection.json``.

    Args:
        source: a folder with corpus.jsonl, queries.jsonl, qrels.tsv and the optional files, or
            one in BEIR's form; see `headrank.collections.collection`. A leading ``~`` is the home
            folder.
        target: may be absent or empty, or a collection that was written there.
        empty: ``error`` refuses documents without text; ``drop`` leaves them out and keeps
            their judgments, which count as never retrieved.
        unjudged: ``error`` refuses queries without judgments; ``drop`` leaves them out.
        path: the folder as the description names it; None means ``source``.

    Raises:
        HeadRankError: as `headrank.collections.collection.validate_collection`.
    """
    check_choice("empty", empty, CHOICES)
    check_choice("unjudged", unjudged, CHOICES)
    source = Path(local_path(source))
    if not source.is_dir():
        raise HeadRankError(f"{source}: no such folder; give the path of the collection's folder")
    if Path(target).resolve() == source.resolve():
        raise HeadRankError(f"{source}: a collection cannot be imported over itself")
    validate_collection(source, evaluated=None if unjudged == "error" else (), empty=empty)
    qrels = load_qrels(source)
    queries = load_queries(source)
    asked = {name: query for name, query in queries.items() if qrels.grades.get(name)}
    candidates = load_candidates(source)
    if candidates is not None:
        if candidates.contradicted:
            logger.warning("%s", candidates.contradicted.told(file_of(source, CANDIDATES)))
        ranked = {query: pairs for query, pairs in candidates.rankings.items() if query in asked}
        candidates = Run(ranked, candidates.name)
    kept = Kept(
        (document for _, document in read_documents(file_of(source, CORPUS))),
        (document for grades in qrels.grades.values() for document in grades),
    )
    description: dict[str, object] = {"kind": "local", "path": str(Path(path or source))}
    description["dropped_queries"] = len(queries) - len(asked)
    absent: set[str] = set()

    def documents() -> Iterator[Document]:
        yield from kept
        description["dropped_documents"] = len(kept.empty)
        absent.update(kept.absent)

    exclusions = {q: docs for q, docs in load_exclusions(source).items() if q in asked}
    parts = Parts(documents(), asked.values(), qrels, description, exclusions, candidates, absent)
    return save_collection(target, parts)
