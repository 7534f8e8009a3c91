"""Runs and qrels: the two files every IR tool exchanges."""

from __future__ import annotations

import math
import numbers
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrank.data.ties import FILE_RANK, Contradiction, Line, check_ties, contradiction, ordered
from headrank.errors import HeadRankError, brief
from headrank.io.files import write_text
from headrank.io.texts import text_lines

MAX_GRADE = 1000
"""Highest grade, and below zero the lowest.

trec_eval counts the judgments of each grade from 0 to a query's highest, 8 bytes a grade: a time
stamp in the grade's column takes gigabytes, and where it gets none the values of that query and
of later ones become 0. Scales in use end at 4, in per cent at 100; what lies beyond 1000 is a
time, a count or an id in the wrong column.
"""

_SPELT = {str(grade): grade for grade in range(-MAX_GRADE, MAX_GRADE + 1)}
_GRADE = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_RUN = "query Q0 document rank score tag"
_QRELS = "query 0 document grade"
_BEIR = ["query-id", "corpus-id", "score"]


@dataclass(frozen=True)
class Run:
    """Ranked documents of each query: ``{query_id: [(doc_id, score), ...]}``, best first.

    Attributes:
        contradicted: of a loaded run whose ranks contradict its scores: how many lines, and the
            first of them. The scores decide.
    """

    rankings: Mapping[str, list[tuple[str, float]]]
    name: str = "headrank"
    contradicted: Contradiction | None = field(default=None, compare=False, repr=False)

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
                        f"query {brief(query)}, document {brief(document)}: score is {score}; "
                        "a run holds finite scores only"
                    )
            rankings[query] = sorted(
                ((document, float(score)) for document, score in documents.items()),
                key=lambda pair: (-pair[1], pair[0]),
            )
        return cls(rankings, name)

    def save(self, path: str | os.PathLike) -> None:
        """Write TREC's six columns; each score survives the round trip exactly.

        Raises:
            HeadRankError: an id or the name is empty, or holds white space or a character
                that cannot be seen.
        """
        lines = [
            f"{query} Q0 {document} {rank} {score!r} {self.name}"
            for query, ranking in self.rankings.items()
            for rank, (document, score) in enumerate(ranking, start=1)
        ]
        for line in lines:
            if len(line.split()) != 6 or not line.isprintable():
                raise HeadRankError(
                    f"{path}: {line!r} is no line of a run; an id or a name that is empty, or "
                    "holds white space or an invisible character, cannot stand in a TREC file"
                )
        write_text(path, "".join(line + "\n" for line in lines))

    @classmethod
    def load(cls, path: str | os.PathLike, ties: str = FILE_RANK) -> Run:
        """Return the run of a TREC file, ordered by its scores.

        Args:
            path: plain or packed by gzip.
            ties: how documents of one score stand. ``file-rank`` keeps the order of the rank
                column: a run that `save` wrote comes back as it was. ``trec_eval`` compares
                scores as float32 and breaks ties by docid descending, whatever the ranks say:
                the order that every number made with trec_eval stands for.

        Raises:
            HeadRankError: a line without six columns, a score that is not a finite
                number, a document twice for one query, an id that cannot be seen, or under
                ``file-rank`` a tie whose ranks are no numbers; the message names the line.
        """
        check_ties(ties)
        read: dict[str, dict[str, Line]] = {}
        name = "headrank"
        for number, fields in _lines(path):
            if len(fields) != 6:
                raise _columns(path, number, fields, 6, _RUN)
            query, _, document, rank, text, name = fields
            if not (query + document).isprintable():
                raise _invisible(path, number, query, document)
            lines = read.setdefault(query, {})
            if document in lines:
                raise HeadRankError(
                    f"{path}:{number}: document {brief(document)} appears twice for query "
                    f"{brief(query)}; keep one line"
                )
            lines[document] = Line(document, _score(text, path, number), rank, number)
        if not read:
            raise HeadRankError(f"{path}: the run is empty")
        lists = {query: list(lines.values()) for query, lines in read.items()}
        rankings = {query: ordered(lines, ties, path) for query, lines in lists.items()}
        return cls(rankings, name, contradiction(lists.values()))

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
                    f"{path}: query {brief(min(twice))} also stands in another part of {name}; "
                    "delete the parts and rank again"
                )
            rankings.update(part)
        if not rankings:
            raise HeadRankError(f"{name}: none of {len(paths)} parts holds a query; rank again")
        return cls(rankings, name)

    def cut(self, depth: int) -> Run:
        """Return the run with at most ``depth`` documents a query."""
        rankings = {query: ranking[:depth] for query, ranking in self.rankings.items()}
        return Run(rankings, self.name, self.contradicted)


@dataclass(frozen=True)
class Qrels:
    """Relevance judgments: ``{query_id: {doc_id: grade}}``; a grade above 0 is relevant."""

    grades: Mapping[str, Mapping[str, int]]

    def grades_of(self, query: str, doc_ids: Iterable[str]) -> list[int]:
        """Return the grade of each document; those below 0 and not judged count as 0."""
        judged = self.grades.get(query, {})
        return [max(0, judged.get(document, 0)) for document in doc_ids]

    @classmethod
    def load(cls, path: str | os.PathLike) -> Qrels:
        """Return the judgments of a TREC qrels file (query, iteration, document, grade).

        BEIR's form is taken as well: three columns under ``query-id corpus-id score``. Grades
        are decimal digits alone, with a minus sign or none: no ``+1``, ``01``, ``1.0``, ``1_0``
        and no other script's digits.

        Args:
            path: plain or packed by gzip.

        Raises:
            HeadRankError: a malformed line, a grade that is not a plain whole number of at most
                ``MAX_GRADE``, an id that cannot be seen, or two different grades for one pair.
        """
        grades: dict[str, dict[str, int]] = {}
        header = None
        for number, fields in _lines(path):
            if not grades and header is None and [f.lower() for f in fields] == _BEIR:
                header = number
                continue
            if header is not None and len(fields) == 4 and not grades:
                raise HeadRankError(
                    f"{path}:{header}: 3 columns, expected 4 ({_QRELS}); remove this line, or give "
                    f"line {number} the three columns that it names"
                )
            if len(fields) != (4 if header is None else 3):
                expected = (4, _QRELS) if header is None else (3, " ".join(_BEIR))
                raise _columns(path, number, fields, *expected)
            query, document, text = fields[0], fields[-2], fields[-1]
            if not (query + document).isprintable():
                raise _invisible(path, number, query, document)
            grade = _SPELT.get(text)
            if grade is None:
                grade = plain_grade(text, f"{path}:{number}")
            known = grades.setdefault(query, {}).setdefault(document, grade)
            if known != grade:
                raise HeadRankError(
                    f"{path}:{number}: query {brief(query)}, document {brief(document)} has grades "
                    f"{known} and {grade}; keep one"
                )
        if not grades:
            raise HeadRankError(f"{path}: the qrels are empty")
        return cls(grades)

    def save(self, path: str | os.PathLike) -> None:
        """Write TREC qrels, tab-separated.

        Raises:
            HeadRankError: a grade out of bounds, or an id that cannot stand in a TREC file.
        """
        lines = []
        for query, documents in self.grades.items():
            for document, grade in documents.items():
                where = f"{path}: query {brief(query)}, document {brief(document)}"
                whole = check_grade(grade, where)
                line = f"{query}\t0\t{document}\t{whole}\n"
                if len(line.split()) != 4 or not f"{query}{document}".isprintable():
                    raise HeadRankError(
                        f"{path}: {line!r} is no line of qrels; an id that is empty, or holds "
                        "white space or an invisible character, cannot stand in a TREC file"
                    )
                lines.append(line)
        write_text(path, "".join(lines))

    def only(self, queries: Iterable[str]) -> Qrels:
        """Return the judgments of the given queries."""
        return Qrels({query: self.grades[query] for query in queries if query in self.grades})


def check_grade(grade: object, where: str) -> int:
    """Return a grade that trec_eval's code can count.

    A float that is whole is one: tables hold 1.0 where another row of the column has no grade.

    Raises:
        HeadRankError: not a whole number, or beyond ``MAX_GRADE`` on either side.
    """
    whole = isinstance(grade, numbers.Integral)
    if isinstance(grade, numbers.Real) and not whole:
        whole = math.isfinite(grade) and grade == int(grade)
    if isinstance(grade, bool) or not whole:
        raise HeadRankError(
            f"{where}: grade {grade!r} is not a whole number; write 0 for not relevant and 1, 2, "
            "... for more"
        )
    grade = int(grade)
    if not -MAX_GRADE <= grade <= MAX_GRADE:
        # Beyond 4300 digits Python does not write a number out.
        raise _beyond(str(grade) if grade.bit_length() < 128 else "of many digits", where)
    return grade


def plain_grade(text: str, where: str) -> int:
    """Return the grade that a text spells in decimal digits alone.

    Raises:
        HeadRankError: another spelling, or as `check_grade`.
    """
    if not _GRADE.fullmatch(text):
        raise HeadRankError(
            f"{where}: grade {text[:40]!r} is not a whole number, written plainly (digits 0 to 9, "
            "with - in front or nothing); write 1 for 1.0 or +1, and round or scale other grades"
        )
    if len(text) > 20:
        raise _beyond(f"{text[:20]}...", where)
    return check_grade(int(text), where)


def _beyond(shown: str, where: str) -> HeadRankError:
    return HeadRankError(
        f"{where}: grade {shown} is beyond {MAX_GRADE}, the highest allowed (-{MAX_GRADE} the "
        "lowest); is it a time, a count or an id? Give the grade, 0 for not relevant"
    )


def _score(text: str, path: str | os.PathLike, number: int) -> float:
    """Return the score that a column spells."""
    try:
        # Python reads 1_0 and other scripts' digits as numbers; no other tool does.
        score = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise HeadRankError(f"{path}:{number}: score {text[:40]!r} is not a finite number")
    return score


def _invisible(path: str | os.PathLike, number: int, *names: str) -> HeadRankError:
    """Return the error for an id with a character that cannot be seen: it looks like another."""
    name = next(name for name in names if not name.isprintable())
    return HeadRankError(
        f"{path}:{number}: id '{brief(name)}' holds a control or invisible character; remove it"
    )


def _columns(
    path: str | os.PathLike, number: int, fields: list[str], columns: int, form: str
) -> HeadRankError:
    return HeadRankError(f"{path}:{number}: {len(fields)} columns, expected {columns} ({form})")


def _lines(path: str | os.PathLike) -> Iterator[tuple[int, list[str]]]:
    """Yield ``(line number, fields)`` of a white-space separated file's non-empty lines."""
    for number, line in text_lines(path):
        fields = line.split()
        if fields:
            yield number, fields
