"""What a builder makes of an archive."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrank.collections.layout import Document, Query
from headrank.collections.validation import check_counts
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError


@dataclass(frozen=True)
class Parts:
    """The parts of one collection, ready to be saved."""

    documents: tuple[Document, ...]
    queries: tuple[Query, ...]
    qrels: Qrels
    description: Mapping[str, object]
    exclusions: Mapping[str, set[str]] = field(default_factory=dict)
    candidates: Run | None = None

    def check(self, expected: Mapping[str, object], archive: Path) -> Parts:
        """Return the parts themselves if they have the counts the builder is known to give.

        Raises:
            HeadRankError: lists every count that differs.
        """
        judged = self.qrels.grades
        grades = Counter(grade for documents in judged.values() for grade in documents.values())
        found = {
            "documents": len(self.documents),
            "queries": dict(Counter(query.split for query in self.queries)),
            "grades": dict(grades),
        }
        check_counts(found, expected, archive)
        return self


def parse_json(data: bytes, member: str, archive: Path, kind: type) -> list | dict:
    """Return the JSON value of an archive's member.

    Raises:
        HeadRankError: the bytes are not JSON, or the value is not of the kind expected.
    """
    try:
        value = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise HeadRankError(f"{archive}: {member} is not JSON ({error}); fetch it again") from None
    if not isinstance(value, kind):
        raise HeadRankError(
            f"{archive}: {member} holds a {type(value).__name__}, expected a {kind.__name__}; is "
            "it another version of the package?"
        )
    return value


def take(record: Mapping, name: str, where: str) -> object:
    """Return a field of a source's record; a missing one names the record."""
    if not isinstance(record, Mapping) or name not in record:
        raise HeadRankError(
            f"{where}: the field {name!r} is missing; is it another version of the package?"
        )
    return record[name]
