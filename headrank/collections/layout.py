"""The files of a collection; documents and queries, and their lines in JSONL."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrank.errors import HeadRankError
from headrank.io.files import read_jsonl
from headrank.io.texts import is_blank, local_path, text_lines

CORPUS = "corpus.jsonl"
QUERIES = "queries.jsonl"
QRELS = "qrels.tsv"
CANDIDATES = "candidates.run"
EXCLUDED = "excluded.tsv"
CARD = "collection.json"
REQUIRED = (CORPUS, QUERIES, QRELS)
OPTIONAL = (CANDIDATES, EXCLUDED)
BEIR_ID = "_id"

# A split names files of the workflow, so it is kept to characters every file system takes.
SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Document:
    """One document of a corpus; the title may be empty."""

    doc_id: str
    title: str
    text: str

    @property
    def contents(self) -> str:
        """Title and text on two lines; the text alone without a title, and the reverse."""
        return "\n".join(part for part in (self.title, self.text) if not is_blank(part))


@dataclass(frozen=True)
class Query:
    """One query and the split it belongs to."""

    query_id: str
    text: str
    split: str = "test"


def read_documents(path: str | os.PathLike) -> Iterator[tuple[int, Document]]:
    """Yield ``(line number, document)`` of a corpus file, one line in memory at a time.

    A document without text is yielded like any other: whether that is an error is the
    caller's decision. BEIR's ``_id`` is read as ``doc_id``; a whole number becomes its digits.

    Raises:
        HeadRankError: a line is not UTF-8 or not JSON, a field is missing or not a string,
            or an id cannot stand in a TREC file; the message names the line.
    """
    for number, record in read_jsonl(path):
        where = f"{path}:{number}"
        doc_id = _id(record, "doc_id", where)
        # "title": null is what exports write for a document without one.
        title = _field(record, "title", where) if record.get("title") is not None else ""
        yield number, Document(doc_id, title, _field(record, "text", where))


def read_queries(path: str | os.PathLike) -> Iterator[tuple[int, Query]]:
    """Yield ``(line number, query)`` of a query file; a query without a split is in ``test``.

    Raises:
        HeadRankError: as `read_documents`; also a query without text, or a split that
            cannot be part of a file name.
    """
    for number, record in read_jsonl(path):
        where = f"{path}:{number}"
        query_id = _id(record, "query_id", where)
        text = _field(record, "text", where)
        if is_blank(text):
            raise HeadRankError(f"{where}: query {query_id} has an empty text; remove it")
        split = _field(record, "split", where) if record.get("split") is not None else "test"
        if not SPLIT.fullmatch(split):
            raise HeadRankError(
                f"{where}: query {query_id} has split {split!r}; use letters, digits, '.', '_' "
                "and '-', because splits name files"
            )
        yield number, Query(query_id, text, split)


def check_id(value: str, field: str, where: str) -> str:
    """Return the id if it can stand in a TREC file, whose columns white space separates.

    Raises:
        HeadRankError: the id is empty, holds white space, or a character that cannot be seen.
    """
    if not value:
        raise HeadRankError(f"{where}: {field} is empty; give every record an id")
    if len(value.split()) != 1 or value != value.strip():
        raise HeadRankError(
            f"{where}: {field} {value!r} holds white space, which separates the columns of "
            "TREC files; replace it, for example by '_'"
        )
    if not value.isprintable():
        # Shown on a terminal, an escape would steer it; two ids could look the same.
        raise HeadRankError(
            f"{where}: {field} {value!r} holds a control or invisible character; remove it"
        )
    return value


def check_utf8(path: str | os.PathLike) -> None:
    """Refuse a text file with a line that is not UTF-8, before other faults are told."""
    for _ in text_lines(path):
        pass


def file_of(folder: str | os.PathLike, name: str) -> Path:
    """Return the path of a collection's file: as it is named, or packed with ``.gz`` behind."""
    path = Path(local_path(folder)) / name
    packed = path.with_name(f"{name}.gz")
    return packed if packed.is_file() and not path.exists() else path


def empty_text(document: Document, where: str) -> HeadRankError:
    """Return the error for a document that has neither a title nor a text."""
    hidden = (document.title + document.text).strip()
    return HeadRankError(
        f"{where}: document {document.doc_id} has an empty text and no title"
        + (" (invisible characters alone)" if hidden else "")
        + "; give it a text, remove it, or import the collection with `empty: drop`"
    )


def _id(record: dict, field: str, where: str) -> str:
    """Return a record's id as a text that can stand in a TREC file.

    BEIR names it ``_id``, and a whole number is as good as its digits.
    """
    if BEIR_ID in record:
        if field in record:
            raise HeadRankError(f"{where}: both {field!r} and {BEIR_ID!r} are given; keep one")
        value = record[BEIR_ID]
    else:
        value = record.get(field)
    if type(value) is int:
        value = str(value)
    if value is None or not isinstance(value, str):
        value = _field(record, BEIR_ID if BEIR_ID in record else field, where)
    return check_id(value, field, where)


def _field(record: dict, field: str, where: str) -> str:
    """Return a field that must be there and a string."""
    if field not in record:
        raise HeadRankError(
            f"{where}: the field {field!r} is missing; found: {', '.join(record) or 'none'}"
        )
    value = record[field]
    if not isinstance(value, str):
        raise HeadRankError(
            f"{where}: the field {field!r} is {type(value).__name__} {value!r:.80}, expected a "
            "string in quotes"
        )
    return value
