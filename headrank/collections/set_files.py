"""The files of a set of queries: its lists, the first stage and judgments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headrank.data.candidates import CandidateList, Passage
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.io.files import read_jsonl, write_jsonl

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from headrank.data.trec import Qrels


def save_set(
    folder: str | os.PathLike,
    lists: Iterable[CandidateList],
    run: Run,
    qrels: Qrels,
) -> None:
    """Write a query set: its queries, the documents they need, the candidates and judgments.

    Files: ``queries.jsonl``, ``documents.jsonl``, ``candidates.run``, ``qrels.tsv``.
    """
    folder = Path(folder)
    lists = list(lists)
    queries = [candidates.query_id for candidates in lists]
    documents: dict[str, Passage] = {}
    for candidates in lists:
        documents.update(zip(candidates.doc_ids, candidates.passages, strict=True))
    write_jsonl(
        folder / "queries.jsonl",
        ({"query_id": c.query_id, "text": c.query} for c in lists),
    )
    write_jsonl(
        folder / "documents.jsonl",
        (
            {"doc_id": name, "title": passage.title, "text": passage.text}
            for name, passage in sorted(documents.items())
        ),
    )
    Run({query: run.rankings.get(query, []) for query in queries}, run.name).save(
        folder / "candidates.run"
    )
    qrels.only(queries).save(folder / "qrels.tsv")


def load_lists(folder: str | os.PathLike) -> list[CandidateList]:
    """Return the candidate lists of a query set, each in the first stage's order.

    Queries without a candidate are left out: there is nothing to rank, and the
    evaluation counts them as 0.

    Raises:
        HeadRankError: a file or a field is missing, or a candidate has no document.
    """
    folder = Path(folder)
    documents = {
        document: Passage(title, text)
        for document, title, text in _records(folder / "documents.jsonl", "doc_id", "title", "text")
    }
    run = Run.load(folder / "candidates.run")
    lists = []
    for query, text in _records(folder / "queries.jsonl", "query_id", "text"):
        doc_ids = tuple(document for document, _ in run.rankings.get(query, []))
        missing = [document for document in doc_ids if document not in documents]
        if missing:
            raise HeadRankError(
                f"{folder}: query {query} has candidate {missing[0]}, which documents.jsonl does "
                "not hold; delete the folder and sample the set again"
            )
        if doc_ids:
            passages = tuple(documents[document] for document in doc_ids)
            lists.append(CandidateList(query, text, doc_ids, passages))
    return lists


def _records(path: Path, *names: str) -> Iterator[tuple[str, ...]]:
    """Yield the named fields of each line."""
    for number, record in read_jsonl(path):
        if not all(isinstance(record.get(name), str) for name in names):
            raise HeadRankError(
                f"{path}:{number}: needs the texts {', '.join(names)}; sample the set again"
            )
        yield tuple(record[name] for name in names)
