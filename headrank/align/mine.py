"""Mining pairs with the model itself: margins of the unaligned heads on the training lists."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from headrank.align.forward import selected_mass
from headrank.align.losses import relevance
from headrank.align.pairs import PairSet, mine_pairs
from headrank.data.candidates import CandidateList, arrange
from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels
from headrank.io.progress import follow
from headrank.models.decoder import LoadedModel
from headrank.options.pairs import PairOptions
from headrank.reading.layout import check_heads
from headrank.reading.prompt import PromptBuilder


@torch.no_grad()
def mine_with_model(
    model: LoadedModel,
    builder: PromptBuilder,
    heads: HeadSet,
    lists: Sequence[CandidateList],
    qrels: Qrels,
    options: PairOptions,
    seed: int,
    progress: bool = True,
) -> PairSet:
    """Return the hard pairs of training lists, each read once in a seeded shuffled order.

    Raises:
        HeadRankError: heads of another model or layout, or no list with two grades.
    """
    heads.check_model(model.layers, model.heads, model.digest)
    check_heads(heads, builder.options.layout)

    def read(candidates: CandidateList) -> tuple[str, tuple[str, ...], object]:
        moved = arrange(candidates, "shuffled", seed)
        mass = selected_mass(model, builder.build(moved, (moved.query,)), heads)
        return moved.query_id, moved.doc_ids, relevance(mass).cpu().numpy()

    bar = follow(lists, desc="mining pairs", unit="query", disable=not progress)
    return mine_pairs((read(candidates) for candidates in bar), qrels.grades, options, seed)
