"""Lee 50: short news texts whose similarity people rated, pair by pair.

Source: Lee, Pincombe and Welsh, "An empirical evaluation of models of text document
similarity", CogSci 2005; the test data of gensim holds the texts (lee.cor, one a line,
Latin-1) and the mean ratings (similarities0-1.txt, the upper triangle of a matrix).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from headrank.collections.layout import Document, Query
from headrank.collections.parts import Parts
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.sources.archive import open_member

FOLDER = "gensim/test/test_data"
TEXTS = f"{FOLDER}/lee.cor"
RATINGS = f"{FOLDER}/similarities0-1.txt"
# Lower bounds of grades 1, 2 and 3 on the mean rating from 0 to 1.
THRESHOLDS = (0.38, 0.5, 0.7)
EXPECTED = {
    "documents": 50,
    "queries": {"test": 50},
}


def build(archive: str | os.PathLike, expected: Mapping[str, object] = EXPECTED) -> Parts:
    """Return the texts as documents, and each text again as the query for all others.

    Every pair is judged. A mean rating below .38 is grade 0, from .38 grade 1, from .5
    grade 2, from .7 grade 3 [ours]. A query's own text is excluded from its candidates.

    Raises:
        HeadRankError: the archive has no such members, or texts and ratings do not fit.
    """
    archive = Path(archive)
    texts = open_member(archive, TEXTS).decode("latin-1").splitlines()
    texts = [" ".join(text.split()) for text in texts]
    ratings = _ratings(archive, len(texts))
    width = len(str(len(texts)))
    numbers = [f"{place:0{width}d}" for place in range(1, len(texts) + 1)]
    documents = tuple(
        Document(f"text-{number}", "", text) for number, text in zip(numbers, texts, strict=True)
    )
    queries = tuple(
        Query(f"query-{number}", text) for number, text in zip(numbers, texts, strict=True)
    )
    grades = {
        query.query_id: {
            document.doc_id: grade(ratings[min(i, j)][max(i, j)])
            for j, document in enumerate(documents)
            if j != i
        }
        for i, query in enumerate(queries)
    }
    description = {
        "name": "Lee 50",
        "package": "gensim (test data)",
        "licence": "LGPL-2.1 (package)",
        "judgments": "every pair; grades 1, 2, 3 from mean ratings "
        + ", ".join(f"{bound:g}" for bound in THRESHOLDS),
    }
    own = {q.query_id: {d.doc_id} for q, d in zip(queries, documents, strict=True)}
    return Parts(documents, queries, Qrels(grades), description, own).check(expected, archive)


def grade(rating: float) -> int:
    """Return the grade of a mean rating: how many of the thresholds it reaches."""
    return sum(rating >= bound for bound in THRESHOLDS)


def _ratings(archive: Path, texts: int) -> list[list[float]]:
    """Return the square matrix of mean ratings; only its upper triangle is filled."""
    lines = open_member(archive, RATINGS).decode("ascii", errors="replace").splitlines()
    try:
        matrix = [[float(value) for value in line.split()] for line in lines]
    except ValueError as error:
        raise HeadRankError(
            f"{archive}: {RATINGS} holds something not a number ({error})"
        ) from None
    if [len(row) for row in matrix] != [texts] * texts:
        raise HeadRankError(
            f"{archive}: {RATINGS} is not a matrix of {texts} x {texts}, one row for each of the "
            f"texts of {TEXTS}; is it another version of the package?"
        )
    for i, row in enumerate(matrix):
        if row[i] != 1 or any(row[:i]) or not all(0 <= value <= 1 for value in row):
            raise HeadRankError(
                f"{archive}: row {i + 1} of {RATINGS} is not one of an upper triangle of ratings "
                "from 0 to 1 with 1 on the diagonal"
            )
    return matrix
