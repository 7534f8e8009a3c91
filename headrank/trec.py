"""Runs and qrels: the two files every IR tool exchanges."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrank.errors import HeadRankError
from headrank.files import write_text


@dataclass(frozen=True)
class Run:
    """Ranked documents of each query: ``{query_id: [(doc_id, score), ...]}``, best first."""

    rankings: Mapping[str, list[tuple[str, float]]]
    name: str = "headrank"

    @classmethod
    def from_scores(cls, scores: Mapping[str, Mapping[str, float]], name: str = "headrank") -> Run:
        """Return a run ordered by score descending, then doc_id ascending (Lucene's order).

        Raises:
            HeadRankError: a score is NaN or infinite.
        """
        rankings = {}
        for query, documents in scores.items():
            for document, score in documents.items():
                if not math.isfinite(score):
                    raise HeadRankError(
                        f"query {query}, document {document}: score is {score}; "
                        "a run holds finite scores only"
                    )
            rankings[query] = sorted(
                ((document, float(score)) for document, score in documents.items()),
                key=lambda pair: (-pair[1], pair[0]),
            )
        return cls(rankings, name)

    def save(self, path: str | os.PathLike) -> None:
        """Write TREC's six columns; each score survives the round trip exactly."""
        lines = [
            f"{query} Q0 {document} {rank} {score!r} {self.name}"
            for query, ranking in self.rankings.items()
            for rank, (document, score) in enumerate(ranking, start=1)
        ]
        write_text(path, "".join(line + "\n" for line in lines))

    @classmethod
    def load(cls, path: str | os.PathLike) -> Run:
        """Return the run of a TREC file, ordered by its scores (the rank column is ignored).

        Raises:
            HeadRankError: a line without six columns, a score that is not a finite
                number, or a document twice for one query; the message names the line.
        """
        scores: dict[str, dict[str, float]] = {}
        name = "headrank"
        for number, fields in _lines(path, 6, "query Q0 document rank score tag"):
            query, _, document, _, text, name = fields
            try:
                score = float(text)
            except ValueError:
                score = math.nan
            if not math.isfinite(score):
                raise HeadRankError(f"{path}:{number}: score {text!r} is not a finite number")
            if document in scores.setdefault(query, {}):
                raise HeadRankError(
                    f"{path}:{number}: document {document} appears twice for query {query}; "
                    "keep one line"
                )
            scores[query][document] = score
        if not scores:
            raise HeadRankError(f"{path}: the run is empty")
        return cls.from_scores(scores, name)

    @classmethod
    def join(cls, paths: Iterable[str | os.PathLike], name: str) -> Run:
        """Return the run whose queries stand in several files; a file may be empty.

        Raises:
            HeadRankError: a query stands in two files, all are empty, or as ``load``.
        """
        rankings: dict[str, list[tuple[str, float]]] = {}
        paths = [Path(path) for path in paths]
        for path in paths:
            part = cls.load(path).rankings if path.stat().st_size else {}
            if twice := rankings.keys() & part.keys():
                raise HeadRankError(
                    f"{path}: query {min(twice)} also stands in another part of {name}; delete the "
                    "parts and rank again"
                )
            rankings.update(part)
        if not rankings:
            raise HeadRankError(f"{name}: none of {len(paths)} parts holds a query; rank again")
        return cls(rankings, name)

    def cut(self, depth: int) -> Run:
        """Return the run with at most ``depth`` documents a query."""
        return Run({query: ranking[:depth] for query, ranking in self.rankings.items()}, self.name)


@dataclass(frozen=True)
class Qrels:
    """Relevance judgments: ``{query_id: {doc_id: grade}}``; a grade above 0 is relevant."""

    grades: Mapping[str, Mapping[str, int]]

    @classmethod
    def load(cls, path: str | os.PathLike) -> Qrels:
        """Return the judgments of a TREC qrels file (query, iteration, document, grade).

        Raises:
            HeadRankError: a malformed line, a grade that is not a whole number, or two
                different grades for one pair.
        """
        grades: dict[str, dict[str, int]] = {}
        for number, (query, _, document, text) in _lines(path, 4, "query 0 document grade"):
            try:
                grade = int(text)
            except ValueError:
                raise HeadRankError(
                    f"{path}:{number}: grade {text!r} is not a whole number"
                ) from None
            known = grades.setdefault(query, {}).setdefault(document, grade)
            if known != grade:
                raise HeadRankError(
                    f"{path}:{number}: query {query}, document {document} has grades "
                    f"{known} and {grade}; keep one"
                )
        if not grades:
            raise HeadRankError(f"{path}: the qrels are empty")
        return cls(grades)

    def save(self, path: str | os.PathLike) -> None:
        """Write TREC qrels, tab-separated."""
        write_text(
            path,
            "".join(
                f"{query}\t0\t{document}\t{grade}\n"
                for query, documents in self.grades.items()
                for document, grade in documents.items()
            ),
        )

    def only(self, queries: Iterable[str]) -> Qrels:
        """Return the judgments of the given queries."""
        return Qrels({query: self.grades[query] for query in queries if query in self.grades})


def _lines(path: str | os.PathLike, columns: int, form: str) -> Iterable[tuple[int, list[str]]]:
    """Yield ``(line number, fields)`` of a white-space separated file."""
    try:
        file = open(path, encoding="utf-8")
    except FileNotFoundError:
        raise HeadRankError(f"{path}: no such file") from None
    with file:
        try:
            for number, line in enumerate(file, start=1):
                fields = line.split()
                if not fields:
                    continue
                if len(fields) != columns:
                    raise HeadRankError(
                        f"{path}:{number}: {len(fields)} columns, expected {columns} ({form})"
                    )
                yield number, fields
        except UnicodeDecodeError as error:
            raise HeadRankError(f"{path}: not UTF-8 ({error})") from None
