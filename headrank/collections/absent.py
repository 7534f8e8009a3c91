"""What an import leaves out, counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headrank.collections.layout import Document
from headrank.errors import HeadRankError


class Kept:
    """Yields the documents that have text and remembers the rest.

    Attributes, complete once all documents were taken:
        total: documents seen.
        empty: ids of those without title and text.
        unseen: judged ids that no document had.
    """

    def __init__(self, documents: Iterable[Document], judged: Iterable[str]) -> None:
        self.documents = documents
        self.total = 0
        self.empty: set[str] = set()
        self.unseen = set(judged)
        self.judged = frozenset(self.unseen)

    def __iter__(self) -> Iterator[Document]:
        for document in self.documents:
            self.total += 1
            self.unseen.discard(document.doc_id)
            if document.contents:
                yield document
            else:
                self.empty.add(document.doc_id)

    @property
    def absent(self) -> set[str]:
        """Judged documents that are not kept."""
        return self.unseen | (self.empty & self.judged)


def check_choice(option: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that an option does not have."""
    if value not in allowed:
        raise HeadRankError(f"{option} is {value!r}; allowed: {', '.join(allowed)}")
