"""The calls that users of other rerankers know: ``rank``, ``predict``, ``ranker(query, docs)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from headrank.data.candidates import PASSAGES, Passage, check_text, in_order
from headrank.data.spellings import without_id
from headrank.errors import HeadRankError, kind_of

if TYPE_CHECKING:
    from headrank.ranker.ranking import RankedPassage

Passages = Iterable[str | Passage | Mapping[str, str]]


class CrossEncoderForms:
    """The forms of sentence-transformers' ``CrossEncoder`` over a ranker's ``rerank``.

    A cross-encoder scores a pair by itself. A ranker reads a list: each score depends on the
    other passages of its list, and scores of two lists do not compare.
    """

    def __call__(
        self, query: str, passages: Passages, *, top_k: int | None = None, **options: object
    ) -> list[RankedPassage]:
        """Return what ``rerank`` returns for the same arguments."""
        return self.rerank(query, passages, top_k=top_k, **options)

    def rank(
        self,
        query: str,
        documents: Passages,
        top_k: int | None = None,
        return_documents: bool = False,
        *,
        query_id: str | None = None,
    ) -> list[dict[str, object]]:
        """Return ``[{"corpus_id", "score"}, ...]``, best first; ties by place.

        Args:
            documents: in the first stage's order; a ``corpus_id`` is a place among them.
            top_k: keep the best so many; None keeps all.
            return_documents: add each one's ``text``.
            query_id: as in ``rerank``.

        Raises:
            HeadRankError: as ``rerank``.
        """
        documents = [without_id(one) for one in in_order(documents, "documents", PASSAGES)]
        found = []
        for one in self.rerank(query, documents, query_id=query_id, top_k=top_k):
            text = {"text": one.passage.text} if return_documents else {}
            found.append({"corpus_id": one.index, "score": one.score, **text})
        return found

    def predict(
        self, pairs: tuple[str, str] | Iterable[tuple[str, str | Passage]]
    ) -> np.ndarray | float:
        """Return the score of each (query, passage) pair, ``[pairs]``, in their order.

        Pairs of one query are read as one list, in their order, wherever they stand among the
        others. So scores compare within a query only, and a pair's score changes with the other
        passages of its query: give all candidates of a query in one call.

        Args:
            pairs: or one pair of texts, whose score is returned as a number.

        Raises:
            HeadRankError: no pairs, an entry that is no pair, or as ``rerank``.
        """
        pairs = list(in_order(pairs, "pairs", "(query, passage)"))
        if len(pairs) == 2 and all(isinstance(one, str) for one in pairs):
            return self.predict([tuple(pairs)]).item()
        if not pairs:
            raise HeadRankError("there are no pairs to score; give at least one")
        places: dict[str, list[int]] = {}
        for number, pair in enumerate(pairs):
            if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
                raise HeadRankError(
                    f"pair {number + 1} of {len(pairs)} is {kind_of(pair)}; give (query, passage)"
                )
            check_text(pair[0], f"the query of pair {number + 1} of {len(pairs)}")
            places.setdefault(pair[0], []).append(number)
        scores = np.full(len(pairs), np.nan)
        for query, own in places.items():
            for one in self.rerank(query, [without_id(pairs[place][1]) for place in own]):
                scores[own[one.index]] = one.score
        return scores
