"""Postings whose values are finished BM25 scores, and the exact search over them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NamedTuple

import bm25s
import numpy as np
from numba import njit
from scipy.sparse import csc_matrix

# bm25s sets its logger to DEBUG on import; its messages follow the program's level again.
logging.getLogger("bm25s").setLevel(logging.NOTSET)

_EXACT_LENGTHS = 24
"""Lengths below this are stored exactly: 255 less the codes that 31-bit numbers need."""

_SLICE = 1 << 18
"""Postings that are scored at a time."""

SMALLEST = np.finfo(np.float32).smallest_subnormal
"""The lowest score of a document that shares a term with the query."""


@dataclass(frozen=True)
class Tokens:
    """A collection as flat arrays.

    ``terms`` and ``documents`` [tokens]: the term and the document's position of each token;
    ``lengths`` [documents]: tokens of each document.
    """

    terms: np.ndarray
    documents: np.ndarray
    lengths: np.ndarray

    @property
    def mean_length(self) -> float:
        """Return the mean number of terms of the documents that have one."""
        return int(self.lengths.sum(dtype=np.int64)) / int(np.count_nonzero(self.lengths))


class Postings(NamedTuple):
    """Scores by term: term ``t`` has ``data`` and ``indices`` of ``indptr[t]:indptr[t + 1]``.

    ``data`` [postings]: scores; ``indices`` [postings]: positions of documents; ``indptr``
    [terms + 1].
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray


class LuceneScores(bm25s.BM25):
    """bm25s with Lucene's postings: it has no option for the length's encoding."""

    def build_index_from_ids(
        self,
        unique_token_ids: list[int],
        corpus_token_ids: Tokens,
        show_progress: bool = True,
        leave_progress: bool = False,
    ) -> dict:
        """Return the postings as a sparse matrix of scores, ``[documents, terms]`` by columns.

        bm25s names this method as the place to build an index in another way.
        """
        lengths = corpus_token_ids.lengths
        # No term is in a document more often than there are terms: passages count in bytes.
        counts = np.min_scalar_type(int(lengths.max(initial=0)))
        matrix = csc_matrix(
            (
                np.ones(len(corpus_token_ids.terms), counts),
                (corpus_token_ids.documents, corpus_token_ids.terms),
            ),
            shape=(len(lengths), len(unique_token_ids)),
        )
        documents = int(np.count_nonzero(lengths))
        df = np.diff(matrix.indptr)
        idf = np.log(1 + (documents - df + 0.5) / (df + 0.5)).astype(np.float32)
        # Lucene's order of float32 operations, so that equal scores stay equal.
        k1, b = np.float32(self.k1), np.float32(self.b)
        mean = np.float32(corpus_token_ids.mean_length)
        with np.errstate(divide="ignore"):
            inverse = 1 / (k1 * ((1 - b) + b * stored_length(lengths).astype(np.float32) / mean))
        data = np.repeat(idf, df)
        # In slices, or the steps between would take five times the memory of the result.
        for start in range(0, len(data), _SLICE):
            part = slice(start, start + _SLICE)
            tf = matrix.data[part].astype(np.float32)
            data[part] -= data[part] / (1 + tf * inverse[matrix.indices[part]])
        self.nonoccurrence_array = None
        return {
            "data": data,
            "indices": matrix.indices,
            "indptr": matrix.indptr,
            "num_docs": len(lengths),
        }


def stored_length(lengths: np.ndarray) -> np.ndarray:
    """Return document lengths in terms as Lucene reads them back from one byte.

    Exact below 40; from there the excess over 24 keeps its four leading binary digits.

    Source: Lucene's ``SmallFloat.intToByte4`` and ``byte4ToInt``.
    """
    excess = np.maximum(np.asarray(lengths, np.int64) - _EXACT_LENGTHS, 0)
    digits = np.frexp(excess.astype(np.float64))[1].astype(np.int64)
    dropped = np.maximum(digits - 4, 0)
    return np.minimum(lengths, _EXACT_LENGTHS) + (excess >> dropped << dropped)


@njit
def _worse(value, position, other_value, other_position):  # pragma: no cover
    """Return whether the first document ranks behind the other."""
    return value < other_value or (value == other_value and position > other_position)


@njit
def _rise(values, positions, place, value, position):  # pragma: no cover
    """Put a document at the end of the heap and let it rise to its place."""
    while place > 0:
        parent = (place - 1) // 2
        if not _worse(value, position, values[parent], positions[parent]):
            break
        values[place], positions[place] = values[parent], positions[parent]
        place = parent
    values[place], positions[place] = value, position


@njit
def _sink(values, positions, size, value, position):  # pragma: no cover
    """Put a document at the root of the heap and let it sink to its place."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _worse(
            values[right], positions[right], values[child], positions[child]
        ):
            child = right
        if not _worse(values[child], positions[child], value, position):
            break
        values[place], positions[place] = values[child], positions[child]
        place = child
    values[place], positions[place] = value, position


@njit
def best(postings, terms, counts, excluded, depth, totals):  # pragma: no cover
    """Return positions and scores of the best documents: score descending, position ascending.

    ``terms`` and ``counts`` [terms]: those of the query; ``excluded``: positions of documents.
    ``totals`` [documents] is scratch space, 0 everywhere before and after. Sums are kept
    in float64 and rounded once, so neither the order of the terms nor that of the
    documents moves a score.
    """
    data, indices, indptr = postings
    most = 0
    for term in terms:
        most += indptr[term + 1] - indptr[term]
    # A query of rare terms need not pass over the whole collection.
    listed = most < len(totals) // 4
    touched = np.empty(most if listed else 0, np.int32)
    found = 0
    for i in range(len(terms)):
        count = counts[i]
        for j in range(indptr[terms[i]], indptr[terms[i] + 1]):
            position = indices[j]
            if listed and totals[position] == 0:
                touched[found] = position
                found += 1
            totals[position] += count * data[j]
    for position in excluded:
        totals[position] = 0

    # A heap whose root is the worst document kept. One comparison with it settles nearly
    # every document; a second branch, taken at random, would treble the time.
    values = np.empty(depth, np.float32)
    positions = np.empty(depth, np.int32)
    size = 0
    floor = SMALLEST
    for i in range(found if listed else len(totals)):
        position = touched[i] if listed else i
        value = np.float32(totals[position])
        totals[position] = 0
        if value < floor:
            continue
        if size < depth:
            _rise(values, positions, size, value, position)
            size += 1
        elif _worse(values[0], positions[0], value, position):
            _sink(values, positions, size, value, position)
        if size == depth:
            floor = values[0]
    # Take the worst out again and again; it goes to the end.
    kept = size
    while size > 1:
        size -= 1
        value, position = values[size], positions[size]
        values[size], positions[size] = values[0], positions[0]
        _sink(values, positions, size, value, position)
    return positions[:kept], values[:kept]
