"""Validation during training: nDCG@10 of the selected heads on held-out lists."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from headrank.align.forward import selected_mass
from headrank.align.losses import relevance
from headrank.data.candidates import CandidateList, arrange
from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels, Run
from headrank.evaluation.measures import evaluate
from headrank.models.decoder import LoadedModel
from headrank.reading.prompt import PromptBuilder


@torch.no_grad()
def validation_ndcg(
    model: LoadedModel,
    builder: PromptBuilder,
    heads: HeadSet,
    lists: Sequence[CandidateList],
    qrels: Qrels,
    seed: int,
) -> float:
    """Return mean nDCG@10 over the lists, each in a seeded shuffled order."""
    scores = {}
    for candidates in lists:
        moved = arrange(candidates, "shuffled", seed)
        mass = selected_mass(model, builder.build(moved, (moved.query,)), heads)
        scores[moved.query_id] = dict(zip(moved.doc_ids, relevance(mass).tolist(), strict=True))
    values = evaluate(Run.from_scores(scores), qrels.only(scores), ["nDCG@10"])
    return float(values["value"].mean())
