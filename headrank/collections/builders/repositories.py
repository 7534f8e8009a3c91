"""Collections built from the files of a repository at a pinned commit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from headrank.collections.absent import Kept, check_choice
from headrank.collections.builders import bright, noveleval
from headrank.collections.collection import save_collection
from headrank.collections.layout import Document
from headrank.collections.parts import Parts
from headrank.collections.validation import check_counts
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.sources.github import fetch_github
from headrank.sources.huggingface import fetch_huggingface

BUILDERS: dict[str, Callable[[Path, Mapping[str, Any]], Parts]] = {
    "bright": lambda folder, source: bright.build(folder, source["task"]),
    "noveleval": lambda folder, source: noveleval.build(folder),
}


def build_from_repository(source: Mapping[str, Any], target: str | os.PathLike) -> dict:
    """Fetch a repository's files, write the collection made of them, return its counts.

    Documents without text are left out and counted in the description; their judgments stay
    and count as never retrieved.

    Args:
        source: as in the config: ``kind`` (``huggingface`` or ``github``), ``repository``,
            ``revision``, ``builder`` and what belongs to it, optionally ``expect`` (counts of
            ``documents``, ``queries``, ``judgments``) and ``unjudged`` (``error`` or ``drop``).
        target: may be absent or empty, or a collection that was written there.

    Raises:
        HeadRankError: what the fetch or the builder refuses, other counts than expected, or
            queries without judgments.
    """
    target = Path(target)
    unjudged = source.get("unjudged", "error")
    check_choice("unjudged", unjudged, ("error", "drop"))
    name = f"{source['repository']} at {source['revision']}"
    # It appears whole, so one that is there was left by a build that failed.
    folder = target.parent / f".{target.name}.{source['revision'][:12]}.fetched"
    if not folder.exists():
        _fetch(source, folder)
    parts = BUILDERS[source["builder"]](folder, source)
    judged = {query: found for query, found in parts.qrels.grades.items() if found}
    found = {
        "documents": len(parts.documents),
        "queries": len(parts.queries),
        "judgments": sum(map(len, judged.values())),
    }
    check_counts(found, source.get("expect", {}), name)
    asked = [query for query in parts.queries if query.query_id in judged]
    lacking = len(parts.queries) - len(asked)
    if lacking and unjudged == "error":
        raise HeadRankError(
            f"{name}: {lacking} of {len(parts.queries)} queries have no judgments; set "
            "`unjudged: drop`"
        )
    kept = Kept(parts.documents, {document for grades in judged.values() for document in grades})
    description: dict[str, object] = {
        "kind": source["kind"],
        "repository": source["repository"],
        "revision": source["revision"],
        "builder": source["builder"],
        "dropped_queries": lacking,
        **parts.description,
    }
    absent: set[str] = set()

    def documents() -> Iterator[Document]:
        yield from kept
        description["dropped_documents"] = len(kept.empty)
        absent.update(kept.absent)

    saved = Parts(
        documents(),
        asked,
        Qrels(judged),
        description,
        _exclusions(parts, judged),
        parts.candidates,
        absent,
    )
    counts = save_collection(target, saved)
    shutil.rmtree(folder)
    return counts


def _exclusions(parts: Parts, judged: Mapping[str, object]) -> dict[str, set[str]]:
    """Return the exclusions of judged queries, of documents that have text."""
    empty = {document.doc_id for document in parts.documents if not document.contents}
    left = {query: names - empty for query, names in parts.exclusions.items() if query in judged}
    return {query: names for query, names in left.items() if names}


def _fetch(source: Mapping[str, Any], folder: Path) -> None:
    if source["kind"] == "huggingface":
        wanted = bright.files(source["task"])
        fetch_huggingface(source["repository"], source["revision"], folder, wanted, dataset=True)
    else:
        fetch_github(source["repository"], source["revision"], source["files"], folder)
