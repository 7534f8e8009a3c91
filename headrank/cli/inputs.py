"""Candidate lists from JSONL, a table, or a run and a collection; every error names its line."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from headrank.cli.options import UsageError
from headrank.data.candidates import CandidateList, Passage, as_candidates
from headrank.data.spellings import DOCUMENT, QUERY, take
from headrank.data.ties import TREC_EVAL
from headrank.data.trec import Qrels, Run, check_grade
from headrank.errors import HeadRankError, brief
from headrank.io.files import read_jsonl
from headrank.io.tables import read_table, table_kind

_ABSENT = object()
# The output's own names; a key of the input that bears one is written as input_NAME.
_RENAMED = ("query_id", "query", "docs", "id", "score", "tokens", "kept_tokens")
# A cell's grade: pandas writes 1.0 for 1 where another row has none.
_WHOLE = re.compile(r"(-?[0-9]{1,9})(\.0+)?", re.ASCII)
# In a table `_id` is the document's.
_QUERY_FIELDS = {"query": QUERY["query"], "query_id": ("query_id", "qid")}


@dataclass(frozen=True)
class InputList:
    """One candidate list of an input.

    Attributes:
        where: ``file:line``, or the run and the query.
        query_id: as it came, text or number; the line's or the list's number where none came.
        ids: as they came, by document id.
        grades: ``{doc_id: grade}`` of the documents that carry one.
        extra: keys of the list that HeadRank does not read, as they came.
        document_extra: ``{doc_id: the same of a document}``, of those that have any.
    """

    where: str
    candidates: CandidateList
    query_id: str | int
    ids: Mapping[str, str | int]
    grades: Mapping[str, int]
    extra: Mapping[str, object] = field(default_factory=dict)
    document_extra: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def unread(self) -> set[str]:
        """Return the names of all keys that HeadRank does not read."""
        return {*self.extra, *(key for own in self.document_extra.values() for key in own)}


def read_input(args: argparse.Namespace, labelled: bool) -> list[InputList]:
    """Return all lists of the input, each checked.

    Raises:
        HeadRankError: a line that cannot be used; the message names it.
    """
    if args.run_file is None:
        for name in ("collection", "depth", "ties", "qrels"):
            if getattr(args, name, None) is not None:
                raise UsageError(f"--{name} goes with --run, which is not given")
        lists = list(file_lists(args.lists or "-", labelled))
    else:
        if args.lists is not None:
            raise UsageError(f"give {args.lists} or --run {args.run_file}, not both")
        if args.collection is None:
            raise UsageError("--run needs --collection, the folder that holds the texts")
        qrels = getattr(args, "qrels", None)
        depth = 20 if args.depth is None else args.depth
        ties = args.ties or TREC_EVAL
        lists = list(run_lists(args.run_file, args.collection, depth, labelled, qrels, ties))
    unread = sorted(set().union(*(one.unread for one in lists)), key=str)
    if labelled and unread:
        print(f"headrank: keys that are not read: {', '.join(unread)}", file=sys.stderr)
    if not lists:
        raise HeadRankError(f"{args.lists or args.run_file or '<stdin>'}: there is no list in it")
    return lists


def file_lists(path: str, labelled: bool) -> Iterator[InputList]:
    """Yield the lists of a JSONL file, of stdin for ``-``, or of a CSV, TSV or Parquet file.

    A table has one row a document, with the columns ``query`` and ``text``; documents of one
    query keep the rows' order.
    """
    seen: dict[str, str] = {}
    for one in _table_records(path) if table_kind(path) else _json_records(path):
        made = _list_of(one, labelled)
        name = made.candidates.query_id
        if name in seen:
            raise HeadRankError(
                f"{made.where}: query_id '{brief(name)}' stands already at {seen[name]}; ids must "
                "differ"
            )
        seen[name] = made.where
        yield made


@dataclass(frozen=True)
class _Record:
    """One list as it came: where it stands, its fields, and its documents, each with its place.

    Attributes:
        number: of the line or of the list, from 1: the query's id where none is given. It names
            the list in messages, runs and judgments, and decides nothing that is read.
    """

    where: str
    number: int
    known: Mapping[str, object]
    extra: Mapping[str, object]
    documents: list[tuple[str, object]]


def _json_records(path: str) -> Iterator[_Record]:
    """Yield the lists of JSONL."""
    source = "<stdin>" if path == "-" else path
    for number, record in read_jsonl(path, stdin=True):
        where = f"{source}:{number}"
        known, extra = take(record, QUERY, where)
        for name in ("query", "docs"):
            if name not in known:
                raise HeadRankError(f"{where}: {name!r} is missing")
        docs = known["docs"]
        if not isinstance(docs, list):
            raise HeadRankError(f"{where}: 'docs' is not a list")
        places = (f"{where}: document {place}" for place in range(1, len(docs) + 1))
        yield _Record(where, number, known, extra, list(zip(places, docs, strict=True)))


def _table_records(path: str) -> Iterator[_Record]:
    """Yield the lists of a table: rows of one query id, else of one query."""
    found: dict[object, _Record] = {}
    for where, row in read_table(path):
        known, document = take(row, _QUERY_FIELDS, where)
        parts = take(document, DOCUMENT, where)[0]
        read = {"query": "query" in known, "text": not parts.keys().isdisjoint(("text", "title"))}
        for name, given in read.items():
            if not given:
                raise HeadRankError(
                    f"{where}: {name!r} is missing; a table needs the columns query and text"
                )
        key = known.get("query_id", known["query"])
        one = found.setdefault(key, _Record(where, len(found) + 1, known, {}, []))
        if one.known["query"] != known["query"]:
            raise HeadRankError(
                f"{where}: query_id '{brief(key)}' has another query at {one.where}; ids must "
                "differ"
            )
        grade = document.get("grade")
        if isinstance(grade, str) and (whole := _WHOLE.fullmatch(grade)):
            document["grade"] = int(whole[1])
        one.documents.append((where, document))
    yield from found.values()


def _list_of(record: _Record, labelled: bool) -> InputList:
    """Return a checked list."""
    where = record.where
    original = record.known.get("query_id", str(record.number))
    query_id = _id(original, f"{where}: query_id")
    read = [_document(entry, place, labelled) for place, entry in record.documents]
    ids = [one.name for one in read]
    given = [name is not _ABSENT for name in ids]
    if any(given) and not all(given):
        raise HeadRankError(
            f"{where}: document {given.index(False) + 1} has no id, others have one; give "
            "all documents an id or none"
        )
    names = [_id(name, where) for name in ids] if any(given) else None
    passages = [one.passage for one in read]
    try:
        candidates = as_candidates(record.known["query"], passages, ids=names, query_id=query_id)
    except HeadRankError as error:
        raise HeadRankError(f"{where}: {error}") from None
    if "query_id" not in record.known:
        candidates = replace(candidates, drawn_by=candidates.query)
    by_id = dict(zip(candidates.doc_ids, read, strict=True))
    _check_extra(record.extra, where)
    for (place, _), one in zip(record.documents, read, strict=True):
        _check_extra(one.extra, place)
    originals = ids if any(given) else range(len(read))
    return InputList(
        where=where,
        candidates=candidates,
        query_id=original,
        ids=dict(zip(candidates.doc_ids, originals, strict=True)),
        grades={name: one.grade for name, one in by_id.items() if one.grade is not None},
        extra=record.extra,
        document_extra={name: one.extra for name, one in by_id.items() if one.extra},
    )


def run_lists(
    run_path: str,
    collection: str,
    depth: int,
    labelled: bool,
    qrels_path: str | None,
    ties: str = TREC_EVAL,
) -> Iterator[InputList]:
    """Yield the lists of a run's queries, with texts from a collection."""
    from headrank.collections.collection import load_documents, load_qrels, load_queries

    if depth < 1:
        raise HeadRankError(f"--depth is {depth}; take at least 1 document a query")
    run = Run.load(run_path, ties).cut(depth)
    if run.contradicted:
        print(f"headrank: {run.contradicted.told(run_path)}", file=sys.stderr)
    queries = load_queries(collection)
    qrels = Qrels({})
    if labelled:
        qrels = load_qrels(collection) if qrels_path is None else Qrels.load(qrels_path)
    missing = [query for query in run.rankings if query not in queries]
    if missing:
        raise HeadRankError(
            f"{run_path}: query {brief(missing[0])} is not in {collection}; give the run's own "
            "collection"
        )
    wanted = {document for ranking in run.rankings.values() for document, _ in ranking}
    documents = load_documents(collection, wanted)
    for query, ranking in run.rankings.items():
        names = tuple(document for document, _ in ranking)
        judged = qrels.grades.get(query, {})
        yield InputList(
            where=f"{run_path}: query {brief(query)}",
            candidates=CandidateList(
                query,
                queries[query].text,
                names,
                tuple(Passage(documents[d].title, documents[d].text) for d in names),
            ),
            query_id=query,
            ids={name: name for name in names},
            grades={d: judged[d] for d in names if d in judged},
        )


@dataclass(frozen=True)
class _Document:
    """A document as it came; its name is ``_ABSENT`` and its grade None where it has none."""

    passage: Passage
    name: object = _ABSENT
    grade: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


def _document(entry: object, where: str, labelled: bool) -> _Document:
    """Return a checked document."""
    if isinstance(entry, str) and not labelled:
        return _Document(Passage("", entry))
    if not isinstance(entry, dict):
        raise HeadRankError(
            f"{where} is a {type(entry).__name__}; expected an object with 'text'"
            + (" and 'grade'" if labelled else ", or a text")
        )
    known, extra = take(entry, DOCUMENT, where)
    passage, grade = passage_of(known, where), known.get("grade")
    if grade is None and labelled:
        raise HeadRankError(f"{where}: 'grade' is missing; 0 is not relevant, higher is better")
    if grade is not None:
        grade = check_grade(grade, where)
    return _Document(passage, known.get("id", _ABSENT), grade, extra)


def passage_of(known: Mapping[str, object], where: str) -> Passage:
    """Return a document's title and text, of which one may be missing.

    Raises:
        HeadRankError: both are missing, or one is not a text.
    """
    title, text = (known.get(name) for name in ("title", "text"))
    if title is not None and not isinstance(title, str):
        raise HeadRankError(f"{where}: 'title' is not a text")
    if not isinstance(text, str) and (text is not None or not title):
        raise HeadRankError(f"{where}: 'text' is missing or not a text")
    return Passage(title or "", text or "")


def _check_extra(extra: Mapping[str, object], where: str) -> None:
    """Refuse keys and values that could not be written again."""
    for key in _RENAMED:
        if {key, f"input_{key}"} <= extra.keys():
            raise HeadRankError(f"{where}: {key!r} and 'input_{key}' are both given; rename one")
    for key, value in extra.items():
        try:
            json.dumps(value, allow_nan=False, default=str)
        except ValueError:
            raise HeadRankError(
                f"{where}: '{brief(key)}' holds a number that is not finite"
            ) from None


def _id(value: object, where: str) -> str:
    """Return an id as text."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise HeadRankError(f"{where}: {brief(repr(value))} is no id; use a text or a whole number")
    return str(value)


def labels(lists: list[InputList]) -> Qrels:
    """Return the judgments of labelled lists."""
    return Qrels({one.candidates.query_id: dict(one.grades) for one in lists})
