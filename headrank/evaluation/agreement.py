"""How far two rankings of the same lists agree: Kendall's tau and the overlap of their tops."""

from __future__ import annotations

import pandas as pd
from scipy.stats import kendalltau

from headrank.data.trec import Run
from headrank.errors import HeadRankError

TOP = 10


def agreement(first: Run, second: Run, top: int = TOP) -> pd.DataFrame:
    """Return one row a query: ``query``, ``tau``, ``overlap``.

    ``tau`` is Kendall's over the documents' ranks: 1 for the same order, -1 for the reverse, NaN
    for a list of one. ``overlap`` is the share of the first ``top`` documents, or of all where a
    list has fewer, that both have there.

    Raises:
        HeadRankError: the runs rank different queries or documents.
    """
    if first.rankings.keys() != second.rankings.keys():
        one = min(first.rankings.keys() ^ second.rankings.keys())
        raise HeadRankError(
            f"query {one} stands in one of the runs {first.name} and {second.name} alone; rank the "
            "same queries by both"
        )
    rows = []
    for query, ranking in first.rankings.items():
        documents = [document for document, _ in ranking]
        place = {document: rank for rank, (document, _) in enumerate(second.rankings[query])}
        if place.keys() != set(documents):
            raise HeadRankError(
                f"query {query}: the runs {first.name} and {second.name} rank different documents; "
                "rank the same candidates by both"
            )
        tau = float("nan")
        if len(documents) > 1:
            tau = kendalltau(range(len(documents)), [place[d] for d in documents]).statistic
        most = min(top, len(documents))
        shared = sum(place[document] < most for document in documents[:most])
        rows.append({"query": query, "tau": float(tau), "overlap": shared / most})
    return pd.DataFrame(rows)
