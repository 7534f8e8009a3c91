"""Hard adjacent-level preference pairs, mined from the unaligned heads.

A pair (chosen, rejected) joins two candidates whose grades are neighbours among the
grades present in the list (HeadRank, arXiv 2604.17237: hard adjacent-level pairs). How
hardness is measured and how pairs are balanced is not public: both are [ours].
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd

from headrank.data.candidates import query_generator
from headrank.data.trec import check_grade, plain_grade
from headrank.errors import HeadRankError, brief
from headrank.io.files import atomic
from headrank.io.texts import local_path, read_bytes
from headrank.options.pairs import PairOptions


@dataclass(frozen=True)
class Pair:
    """One preference: ``chosen`` should rank above ``rejected``.

    ``margin`` is ``z_chosen - z_rejected`` under the unaligned heads (negative: they err), NaN if
    the list was not read; positions count from 0 in the prompt the margin was read from.
    """

    query_id: str
    chosen: str
    rejected: str
    chosen_grade: int
    rejected_grade: int
    margin: float
    chosen_position: int
    rejected_position: int


@dataclass(frozen=True)
class PairSet:
    """Pairs of many queries, in the order of mining."""

    pairs: tuple[Pair, ...]

    def by_query(self) -> dict[str, list[Pair]]:
        """Return the pairs of each query."""
        groups: dict[str, list[Pair]] = {}
        for pair in self.pairs:
            groups.setdefault(pair.query_id, []).append(pair)
        return groups

    def save(self, path: str | os.PathLike) -> None:
        """Write a CSV with one pair a row."""
        names = [field.name for field in fields(Pair)]
        table = pd.DataFrame([asdict(pair) for pair in self.pairs], columns=names)
        with atomic(path) as temporary:
            table.to_csv(temporary, index=False)

    @classmethod
    def load(cls, path: str | os.PathLike) -> PairSet:
        """Return the pairs of a CSV.

        Raises:
            HeadRankError: missing file, columns other than a pair's, or a row that is no pair.
        """
        if not os.path.exists(local_path(path)):
            raise HeadRankError(f"{path}: no such pairs")
        pairs = []
        try:
            text = read_bytes(path).decode("utf-8")
            rows = csv.reader(io.StringIO(text, newline=""), strict=True)
            columns, expected = next(rows, []), [field.name for field in fields(Pair)]
            if columns != expected:
                raise HeadRankError(f"{path}: columns {columns}, expected {expected}; mine again")
            for row in rows:
                pairs.append(_pair(row, f"{path}:{rows.line_num}"))
        except (csv.Error, UnicodeDecodeError) as error:
            raise HeadRankError(f"{path}: not a table of pairs ({error}); mine again") from None
        return cls(tuple(pairs))

    def summary(self) -> pd.DataFrame:
        """Return one row a grade boundary: pairs, queries, mean margin, share misordered.

        The last two are those of the pairs that were read, NaN where none was.
        """
        table = pd.DataFrame([asdict(pair) for pair in self.pairs])
        groups = table.groupby(["chosen_grade", "rejected_grade"], sort=True)
        return groups.agg(
            pairs=("query_id", "size"),
            queries=("query_id", "nunique"),
            mean_margin=("margin", "mean"),
            misordered=("margin", lambda margins: float((margins.dropna() <= 0).mean())),
        ).reset_index()


def _pair(row: list[str], where: str) -> Pair:
    """Return the pair of a CSV row."""

    def grade(text: str) -> int:
        return plain_grade(text, "column")

    kinds = (str, str, str, grade, grade, _margin, _place, _place)
    try:
        pair = Pair(*(kind(text) for kind, text in zip(kinds, row, strict=True)))
    except (ValueError, HeadRankError) as error:
        raise HeadRankError(f"{where}: {row} is not a pair ({error}); mine again") from None
    return pair


def _margin(text: str) -> float:
    """Return a margin; an empty one is that of a list that was not read."""
    margin = float(text or "nan")
    if text and not math.isfinite(margin):
        raise ValueError(f"margin {text}")
    return margin


def _place(text: str) -> int:
    """Return a position: digits alone, no ``1_0`` and no other script's."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError(f"position {text!r}")
    return int(text)


def mine_pairs(
    lists: Iterable[tuple[str, tuple[str, ...], np.ndarray | None]],
    qrels: Mapping[str, Mapping[str, int]],
    options: PairOptions,
    seed: int,
    keys: Mapping[str, str] | None = None,
) -> PairSet:
    """Return the hard pairs of many lists.

    Args:
        lists: ``(query_id, doc_ids, z)`` with ``z`` ``[docs]``, the relevance under the
            unaligned heads, in prompt order; None for a list that was not read, see
            `margins_decide`.
        qrels: grades; a candidate without one counts as 0.
        keys: by query id, what its pairs are drawn by besides the seed; by default the id.

    Raises:
        HeadRankError: no list has two grades, or a grade that `check_grade` refuses.
    """
    mined = []
    for query, doc_ids, z in lists:
        judged = qrels.get(query, {})
        told = f"query {brief(query)}"
        grades = np.array(
            [max(0, check_grade(judged.get(d, 0), f"{told}, {brief(d)}")) for d in doc_ids]
        )
        generator = query_generator(seed, "pairs", (keys or {}).get(query, query))
        read = z is not None
        values = np.asarray(z) if read else np.zeros(len(doc_ids))
        for i, j in _choose(grades, values, options, generator):
            mined.append(
                Pair(
                    query_id=query,
                    chosen=doc_ids[i],
                    rejected=doc_ids[j],
                    chosen_grade=int(grades[i]),
                    rejected_grade=int(grades[j]),
                    margin=float(values[i] - values[j]) if read else math.nan,
                    chosen_position=int(i),
                    rejected_position=int(j),
                )
            )
    if not mined:
        raise HeadRankError(
            "no training list has candidates of two grades, so there is no pair to learn from; "
            "give queries with judged relevant and other documents among their candidates"
        )
    return PairSet(tuple(mined))


def margins_decide(grades: np.ndarray, options: PairOptions) -> bool:
    """Return whether a list's margins decide its pairs: they do where a cap drops some.

    Args:
        grades: ``[docs]`` from 0.
    """
    if options.hardness == "random":
        return False
    taken = sum(1 for _ in _choose(grades, np.zeros(len(grades)), options, None))
    return taken < sum(len(above) * len(below) for above, below in _boundaries(grades, options))


def _boundaries(grades: np.ndarray, options: PairOptions) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the documents above and below each boundary that pairs are taken from."""
    levels = np.unique(grades)
    if options.hardness == "all-levels":
        found = [(high, low) for low, high in itertools.combinations(levels, 2)]
    else:
        found = [(high, low) for low, high in itertools.pairwise(levels)]
    return [(np.flatnonzero(grades == high), np.flatnonzero(grades == low)) for high, low in found]


def _choose(
    grades: np.ndarray, z: np.ndarray, options: PairOptions, generator: np.random.Generator | None
) -> Iterator[tuple[int, int]]:
    """Yield ``(chosen, rejected)`` indices of one list.

    Boundaries take turns, and none gives more than twice the pairs of the scarcest: a middle
    grade, rejected at one boundary and chosen at the next, is seen about as often on either
    side. Within a boundary the documents of the smaller side take turns too: one hard
    document does not fill the quota.
    """
    queues = [
        _in_turns(above, below, z, options.hardness == "random", generator)
        for above, below in _boundaries(grades, options)
    ]
    scarcest = min((len(queue) for queue in queues), default=0)
    limit = min(options.per_boundary, 2 * scarcest) if len(queues) > 1 else options.per_boundary
    queues = [queue[:limit] for queue in queues]
    turns = itertools.zip_longest(*queues)
    chosen = (pair for turn in turns for pair in turn if pair is not None)
    yield from itertools.islice(chosen, options.per_query)


def _in_turns(
    above: np.ndarray,
    below: np.ndarray,
    z: np.ndarray,
    at_random: bool,
    generator: np.random.Generator | None,
) -> list[tuple[int, int]]:
    """Return a boundary's pairs: each document of the smaller side in turn, hardest first.

    Within a turn too, so that a cap that cuts it keeps the hardest.
    """
    flip = len(below) < len(above)
    few, many = (below, above) if flip else (above, below)
    rows = []
    for one in generator.permutation(few) if at_random else few:
        margins = (z[many] - z[one]) if flip else (z[one] - z[many])
        ranked = (
            generator.permutation(many) if at_random else many[np.argsort(margins, kind="stable")]
        )
        rows.append([(int(o), int(one)) if flip else (int(one), int(o)) for o in ranked])
    pairs = []
    for turn in itertools.zip_longest(*rows):
        taken = [pair for pair in turn if pair is not None]
        if not at_random:
            taken.sort(key=lambda pair: z[pair[0]] - z[pair[1]])
        pairs += taken
    return pairs
