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
        if close := difflib.get_close_matches(str(key).lower(), guarded, n=1, cutoff=_CLOSE):
            raise HeadRankError(
                f"{where}: key '{brief(key)}' is unknown (did you mean {close[0]!r}?); rename it"
            )
    return known, extra
