"""BRIGHT: retrieval that needs reasoning, one collection a task.

Source: Su et al., "BRIGHT: A Realistic and Challenging Benchmark for Reasoning-Intensive
Retrieval", ICLR 2025 (arXiv 2407.12883). The hub's data set holds Parquet files a task:
``documents/TASK-*.parquet`` {id, content} and ``examples/TASK-*.parquet`` {id, query, gold_ids,
excluded_ids, ...}. Judgments are binary. A question's ``excluded_ids`` are left out of its
ranking in the benchmark's own evaluation, so they are exclusions here; "N/A" stands for none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrank.collections.layout import Document, Query
from headrank.collections.parts import Parts
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.io.extras import need

TASKS = (
    *("biology", "earth_science", "economics", "psychology", "robotics", "stackoverflow"),
    *("sustainable_living", "leetcode", "pony", "aops", "theoremqa_questions"),
    "theoremqa_theorems",
)
NONE = "N/A"


def files(task: str) -> list[str]:
    """Return patterns of a task's files in the repository."""
    return [f"{config}/{task}-*.parquet" for config in ("documents", "examples")]


def build(folder: Path, task: str) -> Parts:
    """Return a task's documents, questions and judgments.

    White space in an id becomes ``%20`` and the like, because TREC files cannot hold it. A
    document that is repeated word for word is kept once, one without text is left out, and so
    is an exclusion of a document that is not in the corpus; the description counts all three.

    Args:
        folder: of the repository's files.

    Raises:
        HeadRankError: files or columns are missing, one id has two texts, or a gold document
            is in no file or also excluded.
    """
    texts, counts = _documents(folder, task)
    queries: list[Query] = []
    grades: dict[str, dict[str, int]] = {}
    exclusions: dict[str, set[str]] = {}
    for row in _rows(folder, f"examples/{task}", ("id", "query", "gold_ids", "excluded_ids")):
        query = _trec(row["id"])
        where = f"{folder}: question {query} of {task}"
        if query in grades:
            raise HeadRankError(f"{where} stands there twice; is it another revision?")
        gold, excluded = _ids(row["gold_ids"]), _ids(row["excluded_ids"])
        if absent := sorted(gold - texts.keys()):
            raise HeadRankError(
                f"{where}: gold document {absent[0]} is not among the documents; fetch both again"
            )
        if both := sorted(gold & excluded):
            raise HeadRankError(f"{where}: document {both[0]} is both gold and excluded")
        queries.append(Query(query, row["query"].strip()))
        grades[query] = {document: 1 for document in sorted(gold)}
        counts["excluded_without_document"] += len(excluded - texts.keys())
        if kept := excluded & texts.keys():
            exclusions[query] = kept
    documents = tuple(Document(name, "", text) for name, text in texts.items())
    description = {
        "name": f"BRIGHT, {task}",
        "licence": "CC BY 4.0",
        "judgments": "binary: documents that the answer to the question needs",
        **counts,
    }
    return Parts(documents, tuple(queries), Qrels(grades), description, exclusions)


def _documents(folder: Path, task: str) -> tuple[dict[str, str], dict[str, int]]:
    """Return ``{doc_id: text}``, empty ones included, and counts of what was changed."""
    texts: dict[str, str] = {}
    counts = {"repeated_documents": 0, "respelled_ids": 0, "excluded_without_document": 0}
    for row in _rows(folder, f"documents/{task}", ("id", "content")):
        name, text = _trec(row["id"]), row["content"] or ""
        counts["respelled_ids"] += name != row["id"]
        counts["repeated_documents"] += name in texts
        if texts.setdefault(name, text) != text:
            raise HeadRankError(
                f"{folder}: document {name} of {task} has two different texts; is it another "
                "revision?"
            )
    return texts, counts


def _rows(folder: Path, stem: str, columns: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of ``STEM-*.parquet`` in the files' order."""
    need("sources", "builder bright", "pyarrow")
    import pyarrow
    import pyarrow.parquet

    paths = sorted(folder.glob(f"{stem}-*.parquet"))
    if not paths:
        raise HeadRankError(f"{folder}: no file {stem}-*.parquet; fetch the repository again")
    for path in paths:
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                absent = [name for name in columns if name not in file.schema_arrow.names]
                if absent:
                    raise HeadRankError(
                        f"{path}: no column {absent[0]!r}; found: "
                        f"{', '.join(file.schema_arrow.names)}; is it another revision?"
                    )
                for batch in file.iter_batches(columns=list(columns)):
                    yield from batch.to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise HeadRankError(
                f"{path}: not a Parquet file that can be read ({error}); fetch it again"
            ) from None


def _ids(names: list[str] | None) -> set[str]:
    """Return a list's ids without the sign for none."""
    return {_trec(name) for name in names or () if name != NONE}


def _trec(name: str) -> str:
    """Return an id without white space, which is spelt as in an address."""
    return "".join(f"%{ord(sign):02X}" if sign.isspace() else sign for sign in name)
