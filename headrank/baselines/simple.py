"""Rankings that read nothing: at random, or fused from two runs."""

from __future__ import annotations

import numpy as np

from headrank.data.candidates import query_generator
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.heads.zscore import zscore


def fuse(run: Run, first_stage: Run) -> Run:
    """Return the sum of both runs' z-scores a query, over the documents of ``run``.

    Raises:
        HeadRankError: the first stage did not score a document.
    """
    fused = {}
    for query, ranking in run.rankings.items():
        documents = [document for document, _ in ranking]
        known = dict(first_stage.rankings.get(query, []))
        missing = [document for document in documents if document not in known]
        if missing:
            raise HeadRankError(
                f"query {query}: the first stage has no score for document {missing[0]}; "
                "fuse with the run the candidates came from"
            )
        both = np.array([[score for _, score in ranking], [known[d] for d in documents]])
        fused[query] = dict(zip(documents, zscore(both).sum(axis=0).tolist(), strict=True))
    return Run.from_scores(fused, f"{run.name}+{first_stage.name}")


def random_run(candidates: Run, seed: int) -> Run:
    """Return a seeded random ranking of the candidates: the control of every table."""
    scores = {}
    for query, ranking in candidates.rankings.items():
        values = query_generator(seed, "random", query).random(len(ranking))
        scores[query] = {d: float(v) for (d, _), v in zip(ranking, values, strict=True)}
    return Run.from_scores(scores, "random")
