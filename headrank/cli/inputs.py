"""Candidate lists from JSONL or from a run and a collection; every error names its line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrank.cli.options import UsageError
from headrank.data.candidates import CandidateList, Passage, as_candidates
from headrank.data.ties import TREC_EVAL
from headrank.data.trec import Qrels, Run, check_grade
from headrank.errors import HeadRankError
from headrank.io.files import read_jsonl

_FIELDS = {"query", "docs", "query_id", "_id"}
_DOC_FIELDS = {"id", "_id", "title", "text", "grade"}
_ABSENT = object()


@dataclass(frozen=True)
class InputList:
    """One candidate list of an input.

    Attributes:
        where: ``file:line``, or the run and the query.
        query_id: as it came, text or number.
        ids: as they came, by document id.
        grades: ``{doc_id: grade}`` of the documents that carry one.
    """

    where: str
    candidates: CandidateList
    query_id: str | int
    ids: Mapping[str, str | int]
    grades: Mapping[str, int]


def read_input(args: argparse.Namespace, labelled: bool) -> list[InputList]:
    """Return all lists of the input, each checked.

    Raises:
        HeadRankError: a line that cannot be used; the message names it.
    """
    if args.run_file is None:
        for name in ("collection", "depth", "ties", "qrels"):
            if getattr(args, name, None) is not None:
                raise UsageError(f"--{name} goes with --run, which is not given")
        lists = list(jsonl_lists(args.lists or "-", labelled))
    else:
        if args.lists is not None:
            raise UsageError(f"give {args.lists} or --run {args.run_file}, not both")
        if args.collection is None:
            raise UsageError("--run needs --collection, the folder that holds the texts")
        qrels = getattr(args, "qrels", None)
        depth = 20 if args.depth is None else args.depth
        ties = args.ties or TREC_EVAL
        lists = list(run_lists(args.run_file, args.collection, depth, labelled, qrels, ties))
    if not lists:
        raise HeadRankError(f"{args.lists or args.run_file or '<stdin>'}: there is no list in it")
    return lists


def jsonl_lists(path: str, labelled: bool) -> Iterator[InputList]:
    """Yield the lists of a JSONL file, or of stdin for ``-``."""
    seen: dict[str, str] = {}
    source = "<stdin>" if path == "-" else path
    for number, record in read_jsonl(path, stdin=True):
        where = f"{source}:{number}"
        if unknown := set(record) - _FIELDS:
            raise HeadRankError(
                f"{where}: key {min(unknown)!r} is unknown; allowed: {', '.join(sorted(_FIELDS))}"
            )
        for name in ("query", "docs"):
            if name not in record:
                raise HeadRankError(f"{where}: {name!r} is missing")
        if not isinstance(record["docs"], list):
            raise HeadRankError(f"{where}: 'docs' is not a list")
        original = _either(record, "query_id", where)
        original = str(number) if original is _ABSENT else original
        query_id = _id(original, f"{where}: query_id")
        if query_id in seen:
            raise HeadRankError(
                f"{where}: query_id {query_id!r} stands already at {seen[query_id]}; "
                "ids must differ"
            )
        seen[query_id] = where
        passages, ids, grades = [], [], []
        for place, entry in enumerate(record["docs"]):
            passage, name, grade = _document(entry, f"{where}: document {place + 1}", labelled)
            passages.append(passage)
            ids.append(name)
            grades.append(grade)
        given = [name is not None for name in ids]
        if any(given) and not all(given):
            raise HeadRankError(
                f"{where}: document {given.index(False) + 1} has no id, others have one; give "
                "all documents an id or none"
            )
        names = [_id(name, where) for name in ids] if any(given) else None
        try:
            candidates = as_candidates(record["query"], passages, ids=names, query_id=query_id)
        except HeadRankError as error:
            raise HeadRankError(f"{where}: {error}") from None
        originals = ids if any(given) else range(len(passages))
        yield InputList(
            where=where,
            candidates=candidates,
            query_id=original,
            ids=dict(zip(candidates.doc_ids, originals, strict=True)),
            grades={
                document: grade
                for document, grade in zip(candidates.doc_ids, grades, strict=True)
                if grade is not None
            },
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
            f"{run_path}: query {missing[0]} is not in {collection}; give the run's own collection"
        )
    wanted = {document for ranking in run.rankings.values() for document, _ in ranking}
    documents = load_documents(collection, wanted)
    for query, ranking in run.rankings.items():
        names = tuple(document for document, _ in ranking)
        judged = qrels.grades.get(query, {})
        yield InputList(
            where=f"{run_path}: query {query}",
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


def _document(
    entry: object, where: str, labelled: bool
) -> tuple[Passage, str | int | None, int | None]:
    """Return a document's passage, its id and its grade (None where it has none)."""
    if isinstance(entry, str) and not labelled:
        return Passage("", entry), None, None
    if not isinstance(entry, dict):
        raise HeadRankError(
            f"{where} is a {type(entry).__name__}; expected an object with 'text'"
            + (" and 'grade'" if labelled else ", or a text")
        )
    if unknown := set(entry) - _DOC_FIELDS:
        raise HeadRankError(
            f"{where}: key {min(unknown)!r} is unknown; allowed: {', '.join(sorted(_DOC_FIELDS))}"
        )
    if not isinstance(entry.get("text"), str):
        raise HeadRankError(f"{where}: 'text' is missing or not a text")
    title, grade = entry.get("title") or "", entry.get("grade")
    if not isinstance(title, str):
        raise HeadRankError(f"{where}: 'title' is not a text")
    if grade is None and labelled:
        raise HeadRankError(f"{where}: 'grade' is missing; 0 is not relevant, higher is better")
    if grade is not None:
        grade = check_grade(grade, where)
    name = _either(entry, "id", where)
    return Passage(title, entry["text"]), None if name is _ABSENT else name, grade


def _either(record: dict, name: str, where: str) -> object:
    """Return a record's id under our name or BEIR's, `_ABSENT` without one."""
    if name in record and "_id" in record:
        raise HeadRankError(f"{where}: both {name!r} and '_id' are given; keep one")
    return record.get(name, record.get("_id", _ABSENT))


def _id(value: object, where: str) -> str:
    """Return an id as text."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise HeadRankError(f"{where}: {value!r} is no id; use a text or a whole number")
    return str(value)


def labels(lists: list[InputList]) -> Qrels:
    """Return the judgments of labelled lists."""
    return Qrels({one.candidates.query_id: dict(one.grades) for one in lists})
