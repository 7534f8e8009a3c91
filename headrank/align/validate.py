"""Validation during training: nDCG@10 of the selected heads on held-out lists."""

from __future__ import annotations

from headrank.align.forward import HeadReader
from headrank.align.lists import Judged
from headrank.data.trec import Run
from headrank.evaluation.measures import evaluate


def validation_ndcg(reader: HeadReader, held: Judged, seed: int) -> float:
    """Return mean nDCG@10 over the lists, each in a seeded shuffled order."""
    scores = {}
    for candidates in held.lists:
        moved, values = reader.shuffled_relevance(candidates, seed)
        scores[moved.query_id] = dict(zip(moved.doc_ids, values.tolist(), strict=True))
    values = evaluate(Run.from_scores(scores), held.qrels.only(scores), ["nDCG@10"])
    return float(values["value"].mean())
