"""What the number and the choice of heads do: folds over readings that are already there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from headrank.errors import HeadRankError
from headrank.evaluate import evaluate
from headrank.heads import Head, HeadSet
from headrank.methods import Fold, random_run, rank
from headrank.profile import Profile, SelectionOptions
from headrank.reading import ReadingFile
from headrank.significance import bca_interval
from headrank.trec import Qrels, Run

COUNTS = (1, 2, 4, 8, 16, 32, 64)
SELECTED, LAYER_0, RANDOM = "Selected heads", "Best layer-0 head", "Random ranking"
_RANDOM_DRAWS = 20


def ndcg_by_heads(
    shards: Sequence[ReadingFile],
    qrels: Qrels,
    profile: Profile,
    selections: Mapping[str, tuple[SelectionOptions, Fold]],
    *,
    counts: Sequence[int] = COUNTS,
    measure: str = "nDCG@10",
    relevance_level: int = 1,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the measure against the number of heads, selection by selection.

    Columns: selection, heads, mean, low, high (BCa over queries), n. The last point of each
    selection joins all heads of the model.

    Args:
        shards: readings of one evaluation set in one prompt order.
        profile: of other queries, else the curve shows what was fitted.
        selections: ``{name: (criterion and entropy weight, fold)}``; ``heads`` is replaced.
    """
    total = int(np.prod(profile.entropy.shape[1:]))
    rows = []
    for name, (options, how) in selections.items():
        ranked = profile.select(_with_heads(options, _available(profile, options)))
        for count in [*(c for c in sorted(counts) if c < len(ranked.heads)), len(ranked.heads)]:
            heads = HeadSet(ranked.heads[:count], ranked.provenance)
            chosen = None if count == total else heads
            run = rank(shards, chosen, how, name)
            values = _values(run, qrels, measure, relevance_level)
            low, high = bca_interval(values, confidence, seed=seed)
            row = {"selection": name, "heads": count, "mean": float(values.mean())}
            rows.append(row | {"low": low, "high": high, "n": len(values)})
    return pd.DataFrame(rows)


def head_controls(
    readings: Mapping[str, Sequence[ReadingFile]],
    qrels: Qrels,
    heads: HeadSet,
    how: Fold,
    *,
    measure: str = "nDCG@10",
    relevance_level: int = 1,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return selected heads against controls in each prompt order, so that recency shows.

    Columns: order, system, mean, low, high, n. Systems: the selected heads; the best single
    head of layer 0, which sees no context, chosen anew in each order on these very queries
    (an upper bound); a random ranking, averaged over 20 draws.

    Args:
        readings: ``{order: shards}`` of one query set.
    """
    if not readings:
        raise HeadRankError("no readings: give at least one prompt order")
    rows = []
    for order, shards in readings.items():
        candidates = Run.from_scores(
            {
                entry["query_id"]: {d: -float(i) for i, d in enumerate(entry["doc_ids"])}
                for shard in shards
                for entry in shard.meta["queries"]
            },
            order,
        )
        width = next(iter(shards[0])).query.shape[1]

        def measured(run: Run) -> np.ndarray:
            return _values(run, qrels, measure, relevance_level)

        first = [
            measured(rank(shards, HeadSet((Head(0, head),)), Fold(), f"0.{head}"))
            for head in range(width)
        ]
        draws = [measured(random_run(candidates, seed + draw)) for draw in range(_RANDOM_DRAWS)]
        systems = {
            SELECTED: measured(rank(shards, heads, how, SELECTED)),
            LAYER_0: max(first, key=np.mean),
            RANDOM: np.mean(draws, axis=0),
        }
        for name, values in systems.items():
            low, high = bca_interval(values, confidence, seed=seed)
            row = {"order": order, "system": name, "mean": float(values.mean())}
            rows.append(row | {"low": low, "high": high, "n": len(values)})
    return pd.DataFrame(rows)


def _values(run: Run, qrels: Qrels, measure: str, relevance_level: int) -> np.ndarray:
    """Return ``[queries]`` values of one measure, every judged query counted."""
    return evaluate(run, qrels, [measure], relevance_level)["value"].to_numpy(float)


def _available(profile: Profile, options: SelectionOptions) -> int:
    return int(np.isfinite(profile.scores(options)).sum())


def _with_heads(options: SelectionOptions, count: int) -> SelectionOptions:
    return SelectionOptions(options.criterion, count, options.entropy_weight, options.layers)
