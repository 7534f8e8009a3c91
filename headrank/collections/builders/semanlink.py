"""Semanlink: one curator's bookmarks and paper abstracts, tagged with a hierarchy of topics.

A constructed collection: nobody judged documents for queries. Tags stand in for topics, and
what carries a tag for what is relevant to it. Some queries are no topics (a person, "Slides").
Source: semanlink.net by François-Paul Servant, as shipped in the package cherche 2.2.1 (MIT).
"""

from __future__ import annotations

import hashlib
import html
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from headrank.collections.builders.records import parse_json, take
from headrank.collections.layout import Document, Query
from headrank.collections.parts import Parts
from headrank.data.trec import Qrels
from headrank.sources.archive import open_member

FOLDER = "cherche-2.2.1/cherche/data/semanlink"
TAG = "http://www.semanlink.net/tag/"
LEAST_WORDS = 25
LEAST_TAGGED, MOST_TAGGED = 4, 60
EXPECTED = {
    "documents": 1232,
    "grades": {1: 1414, 2: 1601},
}
# Mark-up of HTML and Markdown; a link keeps its text and loses its address, which would
# often spell out a tag.
MARKUP = re.compile(r"</?(?:a|b|br|embed|i|li|object|ol|p|param|ul)\b[^<>]*>", re.IGNORECASE)
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*[^()\s]*\s*\)")


def build(archive: str | os.PathLike, expected: Mapping[str, object] = EXPECTED) -> Parts:
    """Return the texts as documents and the tags that 4 to 60 of them carry as queries.

    A document is an entry whose abstract, or else the curator's note, has 25 words or more.
    Grade 2: it carries the tag. Grade 1: it does not, but carries a tag directly below it.
    The split of a tag follows from a hash of its id, so about half are ``train`` (profiling
    and alignment) and half ``test``, whatever else changes.

    Raises:
        HeadRankError: the archive has no such members or fields, or the counts are not
            those of the pinned version.
    """
    archive = Path(archive)
    entries = _read(archive, "docs.json", list)
    tags = _read(archive, "tags.json", dict)
    documents: list[Document] = []
    carriers: dict[str, set[str]] = defaultdict(set)
    for place, entry in enumerate(entries, start=1):
        where = f"{archive}: docs.json, entry {place}"
        text = take(entry, "arxiv_summary", where) or take(entry, "comment", where)
        if len(text.split()) < LEAST_WORDS:
            continue
        title = take(entry, "arxiv_title", where) or take(entry, "title", where)
        # The entry's place is its id: addresses are long and may hold white space.
        document = Document(f"sl-{place}", plain(title), plain(text))
        documents.append(document)
        for tag in take(entry, "tag", where):
            carriers[tag].add(document.doc_id)
    narrower: dict[str, set[str]] = defaultdict(set)
    for tag, record in tags.items():
        for broader in take(record, "broader", f"{archive}: tags.json, {tag}"):
            narrower[broader].add(tag)
    queries: list[Query] = []
    grades: dict[str, dict[str, int]] = {}
    for tag in sorted(tags):
        carrying = carriers.get(tag, set())
        if not LEAST_TAGGED <= len(carrying) <= MOST_TAGGED:
            continue
        query = tag.removeprefix(TAG)
        label = take(tags[tag], "prefLabel", f"{archive}: tags.json, {tag}")[0]
        queries.append(Query(query, " ".join(label.split()), split_of(query)))
        below = set().union(*(carriers.get(name, set()) for name in narrower[tag]))
        grades[query] = {
            document.doc_id: 2 if document.doc_id in carrying else 1
            for document in documents
            if document.doc_id in carrying | below
        }
    description = {
        "name": "Semanlink",
        "package": "cherche 2.2.1",
        "licence": "MIT (package)",
        "judgments": "constructed: 2 = carries the tag, 1 = carries a tag directly below it",
        "entries": len(entries),
        "entries_too_short": len(entries) - len(documents),
    }
    parts = Parts(tuple(documents), tuple(queries), Qrels(grades), description)
    return parts.check(expected, archive)


def split_of(tag: str) -> str:
    """Return ``train`` or ``test`` for a tag, by a hash of its id."""
    return ("train", "test")[hashlib.sha256(tag.encode()).digest()[0] % 2]


def plain(text: str) -> str:
    """Return the text without mark-up, addresses of links and runs of white space."""
    text = LINK.sub(r"\1", MARKUP.sub(" ", text))
    return " ".join(html.unescape(text).split())


def _read(archive: Path, name: str, kind: type) -> list | dict:
    member = f"{FOLDER}/{name}"
    return parse_json(open_member(archive, member), member, archive, kind)
