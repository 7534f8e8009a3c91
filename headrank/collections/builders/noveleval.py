"""NovelEval-2306: questions on news that no model had read, each with its own 20 passages.

Source: Sun et al., "Is ChatGPT Good at Search? Investigating Large Language Models as
Re-Ranking Agents", EMNLP 2023 (arXiv 2304.09542); the folder NovelEval of its repository:
``corpus.tsv`` and ``queries.tsv`` (quoted as spreadsheets do) and ``qrels.txt`` (TREC).
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from headrank.collections.layout import Document, Query
from headrank.collections.parts import Parts
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.io.texts import read_text

CORPUS, QUERIES, QRELS = "NovelEval/corpus.tsv", "NovelEval/queries.tsv", "NovelEval/qrels.txt"
FILES = (CORPUS, QUERIES, QRELS)
EXPECTED = {"documents": 420, "queries": {"test": 21}, "grades": {0: 290, 1: 40, 2: 90}}


def build(folder: Path, expected: Mapping[str, object] | None = None) -> Parts:
    """Return passages, questions, judgments, and each question's passages as candidates.

    The candidates stand in the release's order, which is that of a web search, with the
    release's scores, 1 / rank. Every one of them is judged, 0 to 2.

    Args:
        folder: of the repository's files.
        expected: counts; None takes the release's.

    Raises:
        HeadRankError: a file is missing or has other columns, a passage is of no question, or
            other counts.
    """
    documents = tuple(Document(name, "", text) for name, text in _pairs(folder / CORPUS))
    queries = tuple(Query(name, text) for name, text in _pairs(folder / QUERIES))
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    known = {query.query_id for query in queries}
    for document in documents:
        # 14-3 is the fourth passage of question 14.
        query = document.doc_id.partition("-")[0]
        if query not in known:
            raise HeadRankError(
                f"{folder / CORPUS}: passage {document.doc_id} is of question {query!r}, which "
                f"{QUERIES} lacks; is it another revision?"
            )
        scores[query][document.doc_id] = 1 / (len(scores[query]) + 1)
    description = {
        "name": "NovelEval-2306",
        "licence": "Apache-2.0 (repository)",
        "judgments": "people; 2 = relevant, 1 = partially relevant, every candidate judged",
        "candidates": "20 a question from a web search, in the release's order",
    }
    qrels = Qrels.load(_there(folder / QRELS))
    run = Run.from_scores(scores, "noveleval")
    return Parts(documents, queries, qrels, description, candidates=run).check(
        EXPECTED if expected is None else expected, folder
    )


def _pairs(path: Path) -> list[tuple[str, str]]:
    """Return the two columns of a file; a tab within the text becomes a space."""
    text = io.StringIO(read_text(_there(path)), newline="")
    rows = [row for row in csv.reader(text, delimiter="\t") if row]
    for number, row in enumerate(rows, start=1):
        if len(row) < 2:
            raise HeadRankError(f"{path}: record {number} has one column, expected id and text")
    return [(name, " ".join(rest)) for name, *rest in rows]


def _there(path: Path) -> Path:
    if not path.is_file():
        raise HeadRankError(f"{path}: no such file; pin {', '.join(FILES)} under `files`")
    return path
