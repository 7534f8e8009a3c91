"""A PyTerrier transformer: ``bm25 >> text_loader >> HeadRankTransformer(ranker) % 20``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from headrank.data.candidates import CandidateList, Passage, as_candidates
from headrank.errors import HeadRankError, brief
from headrank.io.extras import missing

try:
    import pyterrier as pt
except ModuleNotFoundError:
    raise missing("pyterrier", "headrank.adapters.pyterrier", "pyterrier") from None

if TYPE_CHECKING:
    from headrank.ranker.ranker import HeadRanker

_NEEDED = ("qid", "query", "docno")


class HeadRankTransformer(pt.Transformer):
    """Reranks the documents of each query; every other column stays as it is.

    A frame's documents are read in the order of ``rank``, else of ``score`` descending, else of the
    rows: the first stage's. The query's id decides the shuffled order, so the scores are those of
    ``headrank rerank --run`` on the same run.

    Attributes:
        ranker: reads the lists.
        text_field: column with the texts; a column ``title`` is read too if there is one.
        batch: lists read side by side.
    """

    def __init__(self, ranker: HeadRanker, *, text_field: str = "text", batch: int = 1) -> None:
        super().__init__()
        self.ranker = ranker
        self.text_field = text_field
        self.batch = batch

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame with new ``score`` and ``rank`` (from 0), best first in each query.

        Raises:
            HeadRankError: a column is missing, or as ``HeadRanker.rerank``.
        """
        for column in (*_NEEDED, self.text_field):
            if column not in frame.columns:
                raise HeadRankError(
                    f"the frame has no column {column!r}, only {', '.join(map(str, frame.columns))}"
                    "; put pt.text.get_text before the reranker to add texts"
                )
        frames, lists = [], []
        for name, group in frame.groupby("qid", sort=False):
            group = _in_order(group)
            frames.append(group)
            lists.append(self._list(str(name), group))
        ranked = []
        rankings = self.ranker.rerank_lists(lists, batch=self.batch)
        for group, ranking in zip(frames, rankings, strict=True):
            scores = [one.score for one in ranking]
            places = range(pt.model.FIRST_RANK, pt.model.FIRST_RANK + len(ranking))
            moved = group.iloc[[one.index for one in ranking]]
            ranked.append(moved.assign(score=scores, rank=list(places)))
        if not ranked:
            return frame.assign(score=pd.Series(dtype=float), rank=pd.Series(dtype=int))
        return pd.concat(ranked, ignore_index=True)

    def _list(self, name: str, group: pd.DataFrame) -> CandidateList:
        """Return a query's rows as a candidate list."""
        titles = group["title"].fillna("") if "title" in group.columns else [""] * len(group)
        passages = [
            Passage(title, text)
            for title, text in zip(titles, group[self.text_field].fillna(""), strict=True)
        ]
        try:
            return as_candidates(
                group["query"].iloc[0], passages, ids=group["docno"], query_id=name
            )
        except HeadRankError as error:
            raise error.named(f"query {brief(name)}: ") from None


def _in_order(group: pd.DataFrame) -> pd.DataFrame:
    """Return a query's rows in the first stage's order."""
    if "rank" in group.columns:
        return group.sort_values("rank", kind="stable")
    if "score" in group.columns:
        return group.sort_values("score", ascending=False, kind="stable")
    return group
