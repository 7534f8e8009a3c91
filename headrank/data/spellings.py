"""What users call the parts of a list: several spellings of one field, and keys of their own."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from headrank.errors import HeadRankError, brief

Spellings = Mapping[str, tuple[str, ...]]

DOCUMENT: Spellings = {
    "id": ("id", "_id", "doc_id", "docno"),
    "title": ("title",),
    "text": ("text", "page_content"),
    "grade": ("grade",),
}
QUERY: Spellings = {
    "query_id": ("query_id", "_id", "qid"),
    "query": ("query",),
    "docs": ("docs", "documents"),
}
# A slip in one of these would change what is read without a word.
_GUARDED = ("title", "text", "page_content", "query_id", "docs", "documents")
_CLOSE = 0.8
# By how many characters a name differs at most that is so close: 2 * 12 / (12 + 19) < 0.8.
_LONGER = 6


def take(record: Mapping, spellings: Spellings, where: str) -> tuple[dict, dict]:
    """Return a record's known fields by our names, and all other keys as they are.

    Args:
        spellings: ``DOCUMENT``, ``QUERY``, or some of their fields.

    Raises:
        HeadRankError: one field in two spellings, or a key that is a slip of one that matters.
    """
    known: dict = {}
    guarded: list[str] = []
    for name, names in spellings.items():
        given = [spelling for spelling in names if spelling in record]
        if len(given) > 1:
            raise HeadRankError(f"{where}: both {given[0]!r} and {given[1]!r} are given; keep one")
        if given:
            known[name] = record[given[0]]
        else:
            guarded += [spelling for spelling in names if spelling in _GUARDED]
    ours = {spelling for names in spellings.values() for spelling in names}
    extra = {key: value for key, value in record.items() if key not in ours}
    for key in extra:
        # A key whose length tells that it is none of them: difflib takes 30 times as long.
        if not any(abs(len(str(key)) - len(one)) <= _LONGER for one in guarded):
            continue
        if close := difflib.get_close_matches(str(key).lower(), guarded, n=1, cutoff=_CLOSE):
            raise HeadRankError(
                f"{where}: key '{brief(key)}' is unknown (did you mean {close[0]!r}?); rename it"
            )
    return known, extra


def without_id(passage: object) -> object:
    """Return a mapping without its id: it is told by its place, and may stand twice."""
    if not isinstance(passage, Mapping):
        return passage
    return {key: value for key, value in passage.items() if key not in DOCUMENT["id"]}
