"""What a collection is made of, before it is saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrank.collections.layout import Document, Query
from headrank.collections.validation import check_counts
from headrank.data.trec import Qrels, Run


@dataclass(frozen=True)
class Parts:
    """The parts of one collection, ready for `headrank.collections.collection.save_collection`.

    Attributes:
        documents: may be a generator; it is written as it comes.
        queries, qrels: of all splits; each query needs a judgment.
        description: where the data comes from and how it was made, kept as ``source``.
        exclusions: ``{query_id: doc_ids}`` that must not become candidates.
        candidates: a run to take in place of a first stage.
        absent: judged documents that the corpus is known not to hold; their judgments stay
            and count as never retrieved. Like the description it is read after the
            documents, so the generator that yields them may fill it.
    """

    documents: Iterable[Document]
    queries: Iterable[Query]
    qrels: Qrels
    description: Mapping[str, object]
    exclusions: Mapping[str, set[str]] = field(default_factory=dict)
    candidates: Run | None = None
    absent: Iterable[str] = ()

    def check(self, expected: Mapping[str, object], archive: Path) -> Parts:
        """Return the parts themselves if they have the counts the builder is known to give.

        Documents and queries must be tuples: they are counted.

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
