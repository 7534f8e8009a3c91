"""The order of a run's lines: who stands first where scores tie, and ranks that contradict them."""

from __future__ import annotations

import math
import operator
import os
import re
from array import array
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from headrank.errors import HeadRankError

FILE_RANK, TREC_EVAL = "file-rank", "trec_eval"
TIES = (TREC_EVAL, FILE_RANK)
"""Ways to order documents of one score."""

_RANK = re.compile(r"-?[0-9]{1,18}", re.ASCII)


_COUNTED = [str(rank) for rank in range(1, 10_001)]


class Line(NamedTuple):
    """One line of a run: the rank as it is spelt, and where it stands in the file."""

    document: str
    score: float
    rank: str
    number: int


class Contradiction(NamedTuple):
    """Lines whose rank is better than that of a line with a higher score."""

    lines: int
    first: int

    def told(self, path: str | os.PathLike) -> str:
        """Return the words for a user."""
        lines = "1 line's rank contradicts" if self.lines == 1 else f"{self.lines} ranks contradict"
        return f"{path}: {lines} the scores, first in line {self.first}; the scores decide"


def check_ties(ties: str) -> None:
    """Refuse a name that is no way to order ties."""
    if ties not in TIES:
        raise HeadRankError(f"ties is {ties!r}; allowed: {', '.join(TIES)}")


def ordered(lines: Sequence[Line], ties: str, path: str | os.PathLike) -> list[tuple[str, float]]:
    """Return the ranking of one query's lines, best first.

    Raises:
        HeadRankError: under ``file-rank``, a tie with a rank that is no whole number.
    """
    if ties == TREC_EVAL:
        return trec_eval_order([(line.document, line.score) for line in lines])
    best = lines if _falling(lines) else sorted(lines, key=lambda line: -line.score)
    if best is lines or _falling(best):
        return [(line.document, line.score) for line in best]
    ranking = []
    for score, tied in groupby(best, key=lambda line: line.score):
        tied = list(tied)
        if len(tied) > 1:
            tied.sort(key=lambda line: (_needed(line, path), line.document))
        ranking += [(line.document, score) for line in tied]
    return ranking


def trec_eval_order(ranking: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return a ranking as trec_eval orders it: score at float32, then docid, both descending.

    A score that only float32's rounding puts behind a lower one is lowered to that one, so that
    scores fall or stay along the ranking.
    """
    ranking = list(ranking)
    # An array of C floats; what is too large for one becomes infinite, and ties, there as here.
    rounded = array("f", [score for _, score in ranking])
    keyed = [(single, *pair) for single, pair in zip(rounded, ranking, strict=True)]
    result, lowest = [], math.inf
    for _, document, score in sorted(keyed, reverse=True):
        lowest = min(lowest, score)
        result.append((document, lowest))
    return result


def contradiction(queries: Iterable[Sequence[Line]]) -> Contradiction | None:
    """Return how many lines stand, by rank, before a line of a higher score; None without any.

    Lines of one rank do not contradict each other, and a query with a rank that is no whole
    number is passed over: trec_eval does not read ranks.
    """
    found: list[int] = []
    for lines in queries:
        # Most files: ranks count from 1, scores fall.
        if _falling(lines) and [line.rank for line in lines] == _COUNTED[: len(lines)]:
            continue
        if any(not _RANK.fullmatch(line.rank) for line in lines):
            continue
        # From the worst rank up: the highest score of all worse ranks is known at each.
        ranked = sorted(lines, key=lambda line: -int(line.rank))
        best = -math.inf
        for _, group in groupby(ranked, key=lambda line: int(line.rank)):
            same = list(group)
            found += [line.number for line in same if line.score < best]
            best = max(best, *(line.score for line in same))
    return Contradiction(len(found), min(found)) if found else None


def _falling(lines: Sequence[Line]) -> bool:
    """Return whether each line's score is below the one before."""
    scores = [line.score for line in lines]
    return all(map(operator.gt, scores, scores[1:]))


def _needed(line: Line, path: str | os.PathLike) -> int:
    """Return the rank of a line that ties with another."""
    if not _RANK.fullmatch(line.rank):
        raise HeadRankError(
            f"{path}:{line.number}: rank {line.rank[:40]!r} is not a whole number, and the score "
            f"ties with another's; give ranks, or order ties as {TREC_EVAL} does"
        )
    return int(line.rank)
