"""When two queries are the same question."""

from __future__ import annotations


def normalised(text: str) -> str:
    """Return a query's text as it is compared between roles: case-folded, single spaces."""
    return " ".join(text.casefold().split())
