"""Collections: documents, queries and judgments in one folder, checked before use.

A collection is a folder of

- ``corpus.jsonl``: one ``{"doc_id", "title", "text"}`` a line (title optional);
- ``queries.jsonl``: one ``{"query_id", "text", "split"}`` a line (split optional: test);
- ``qrels.tsv``: TREC judgments, ``query_id 0 doc_id grade``;
- ``candidates.run`` (optional): a TREC run, taken in place of a first stage;
- ``excluded.tsv`` (optional): ``query_id doc_id``, documents that must not become candidates
  of that query, such as the document a question was made from;
- ``collection.json``: what is in the folder and the SHA-256 of each file. `save_collection`
  writes it and `verify_collection` checks it; a folder made by hand needs none.

A folder made by hand may hold its files packed by gzip (``corpus.jsonl.gz``), name ids ``_id``,
and have BEIR's ``qrels/<split>.tsv`` in place of ``qrels.tsv``; the split is then the file's name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from headrank.collections.beir import beir_qrels, load_beir_qrels
from headrank.collections.layout import (
    CANDIDATES,
    CARD,
    CORPUS,
    EXCLUDED,
    OPTIONAL,
    QRELS,
    QUERIES,
    REQUIRED,
    Document,
    Query,
    check_id,
    check_utf8,
    empty_text,
    file_of,
    read_documents,
)
from headrank.collections.parts import Parts
from headrank.collections.validation import Checks, check_counts, check_parts, unique_queries
from headrank.data.ties import FILE_RANK, TREC_EVAL
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.io.files import check_sha256, read_json, sha256, write_json, write_jsonl, write_text
from headrank.io.folders import COLLECTION, atomic_dir
from headrank.io.texts import local_path, text_lines

__all__ = [
    "Document",
    "Query",
    "check_counts",
    "iter_documents",
    "load_candidates",
    "load_documents",
    "load_exclusions",
    "load_qrels",
    "load_queries",
    "save_collection",
    "validate_collection",
    "verify_collection",
]


def iter_documents(folder: str | os.PathLike) -> Iterator[Document]:
    """Yield the documents in the corpus' order, one in memory at a time.

    Raises:
        HeadRankError: a malformed line or a document without text; the message names it.
    """
    path = _file(folder, CORPUS)
    for number, document in read_documents(path):
        if not document.contents:
            raise empty_text(document, f"{path}:{number}")
        yield document


def load_documents(folder: str | os.PathLike, wanted: Iterable[str]) -> dict[str, Document]:
    """Return ``{doc_id: document}`` of the wanted ids only; the corpus is read as a stream.

    Raises:
        HeadRankError: wanted documents are not in the corpus; the message names some.
    """
    missing = set(wanted)
    found: dict[str, Document] = {}
    for document in iter_documents(folder) if missing else ():
        if document.doc_id in missing:
            missing.discard(document.doc_id)
            found[document.doc_id] = document
            if not missing:
                break
    if missing:
        raise HeadRankError(
            f"{Path(folder) / CORPUS}: {len(missing)} documents are asked for but missing: "
            f"{_some(missing)}; was the run made from another corpus?"
        )
    return found


def load_queries(folder: str | os.PathLike, split: str | None = None) -> dict[str, Query]:
    """Return ``{query_id: query}`` in the file's order, of one split or of all.

    Raises:
        HeadRankError: a malformed line, a query id twice, or a split without queries.
    """
    path = _file(folder, QUERIES)
    queries = {query.query_id: query for _, query in _queries(folder).values()}
    if split is None:
        return queries
    chosen = {name: query for name, query in queries.items() if query.split == split}
    if not chosen:
        splits = Counter(query.split for query in queries.values())
        raise HeadRankError(
            f"{path}: no query has split {split!r}; there are "
            + ", ".join(f"{name} ({count})" for name, count in sorted(splits.items()))
        )
    return chosen


def load_qrels(folder: str | os.PathLike) -> Qrels:
    """Return the judgments of all splits; take one with ``.only(load_queries(folder, split))``.

    Raises:
        HeadRankError: a malformed line; the message names it.
    """
    if files := beir_qrels(folder):
        return load_beir_qrels(files)[0]
    path = _file(folder, QRELS)
    check_utf8(path)
    return Qrels.load(path)


def load_candidates(folder: str | os.PathLike) -> Run | None:
    """Return the collection's own candidates, or None if it has no ``candidates.run``.

    Ties of a folder made by hand are ordered as trec_eval does; a saved collection keeps the
    order that its ranks have.
    """
    path = file_of(folder, CANDIDATES)
    if not path.exists():
        return None
    check_utf8(path)
    saved = (Path(local_path(folder)) / CARD).exists()
    return Run.load(path, FILE_RANK if saved else TREC_EVAL)


def load_exclusions(folder: str | os.PathLike) -> dict[str, set[str]]:
    """Return ``{query_id: doc_ids}`` to leave out of the query's candidates; often empty.

    Raises:
        HeadRankError: a line of ``excluded.tsv`` without two columns.
    """
    path = file_of(folder, EXCLUDED)
    excluded: dict[str, set[str]] = {}
    if not path.exists():
        return excluded
    check_utf8(path)
    for number, line in text_lines(path):
        fields = line.split()
        if fields and len(fields) != 2:
            raise HeadRankError(
                f"{path}:{number}: {len(fields)} columns, expected 2 (query_id doc_id)"
            )
        if fields:
            excluded.setdefault(fields[0], set()).add(fields[1])
    return excluded


def save_collection(folder: str | os.PathLike, parts: Parts) -> dict:
    """Write a collection whole or not at all, after every check; return its counts.

    Args:
        folder: may be absent or empty, or a collection that was written there.

    Raises:
        HeadRankError: as `validate_collection`.
    """
    target = Path(folder)
    for query, grades in parts.qrels.grades.items():
        for name, field in ((query, "query_id"), *((document, "doc_id") for document in grades)):
            check_id(name, field, f"{target / QRELS}")
    with atomic_dir(target, COLLECTION) as temporary:
        write_jsonl(
            temporary / CORPUS,
            ({"doc_id": d.doc_id, "title": d.title, "text": d.text} for d in parts.documents),
        )
        write_jsonl(
            temporary / QUERIES,
            ({"query_id": q.query_id, "text": q.text, "split": q.split} for q in parts.queries),
        )
        parts.qrels.save(temporary / QRELS)
        if parts.candidates is not None:
            parts.candidates.save(temporary / CANDIDATES)
        if parts.exclusions:
            pairs = parts.exclusions.items()
            lines = (f"{query}\t{name}\n" for query, names in pairs for name in sorted(names))
            write_text(temporary / EXCLUDED, "".join(lines))
        absent = sorted(parts.absent)
        try:
            counts = _validate(temporary, Checks(absent=frozenset(absent)))
        except HeadRankError as error:
            # The temporary folder is about to go: name the one the reader knows.
            raise HeadRankError(str(error).replace(str(temporary), str(target))) from None
        written = [name for name in REQUIRED + OPTIONAL if (temporary / name).exists()]
        card = {
            "source": dict(parts.description),
            "counts": counts,
            "absent": absent,
            "sha256": {name: sha256(temporary / name) for name in written},
        }
        write_json(temporary / CARD, card)
    return counts


def validate_collection(
    folder: str | os.PathLike, evaluated: Iterable[str] | None = None, empty: str = "error"
) -> dict[str, object]:
    """Return the counts of a collection that passes every check.

    Counts: ``documents``, ``queries``, ``judged_queries``, ``judgments``, ``grades``
    (``{grade: judgments}``) and ``splits`` (``{split: queries}``); also ``candidates`` and
    ``excluded`` (lines) where the folder has such a file.

    Args:
        folder: the collection.
        evaluated: splits whose queries must all have judgments; None means all splits.
        empty: ``error`` refuses a document without text; ``drop`` counts such documents as
            ``empty`` and the rest as ``documents``.

    Raises:
        HeadRankError: a missing file or field, a line that is not UTF-8, an id twice or
            with white space, an empty text, a judgment, candidate or exclusion of an
            unknown query or document, or a query without judgments.
    """
    folder = Path(local_path(folder))
    card = read_json(folder / CARD) if (folder / CARD).exists() else {}
    absent = card.get("absent", []) if isinstance(card, dict) else None
    if not isinstance(absent, list) or not all(isinstance(name, str) for name in absent):
        raise HeadRankError(
            f"{folder / CARD}: not a collection's card ('absent' is a list of ids); remove it"
        )
    return _validate(folder, Checks(evaluated, frozenset(absent), empty))


def verify_collection(folder: str | os.PathLike) -> None:
    """Check that every file of a saved collection still has the SHA-256 in its card.

    Raises:
        HeadRankError: a file was changed, removed or added since `save_collection`.
    """
    card = read_json(_file(folder, CARD))
    remedy = "the collection was changed after it was made; remove the folder and make it again"
    for name, expected in card["sha256"].items():
        check_sha256(_file(folder, name), expected, remedy)
    for name in OPTIONAL:
        if name not in card["sha256"] and (Path(folder) / name).exists():
            raise HeadRankError(f"{Path(folder) / name}: not listed in {CARD}; {remedy}")


def _validate(folder: Path, checks: Checks) -> dict:
    """Return the counts; see `validate_collection`."""
    _file(folder, CORPUS)
    return check_parts(
        folder,
        queries=_queries(folder),
        qrels=load_qrels(folder),
        candidates=load_candidates(folder),
        exclusions=load_exclusions(folder),
        checks=checks,
    )


def _queries(folder: str | os.PathLike) -> dict[str, tuple[int, Query]]:
    """Return `unique_queries` of a folder; under BEIR's form in the split that judges them."""
    queries = unique_queries(_file(folder, QUERIES))
    if files := beir_qrels(folder):
        _, splits = load_beir_qrels(files)
        for name, split in splits.items():
            if name in queries:
                number, query = queries[name]
                queries[name] = (number, replace(query, split=split))
    return queries


def _file(folder: str | os.PathLike, name: str) -> Path:
    """Return the path of a collection's file, which must exist."""
    path = file_of(folder, name)
    if not path.is_file():
        raise HeadRankError(
            f"{path}: no such file; a collection is a folder with {', '.join(REQUIRED)}"
        )
    return path


def _some(names: set[str]) -> str:
    """Return a few names for a message."""
    return ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")
