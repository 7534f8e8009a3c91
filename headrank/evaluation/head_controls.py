"""What number, depth and choice of heads do: folds over readings that are already there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from headrank.baselines.simple import random_run
from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.evaluation.measures import evaluate
from headrank.evaluation.significance import bca_interval
from headrank.heads.fold import rank
from headrank.heads.profile import Profile
from headrank.options.fold import Fold
from headrank.options.selection import SelectionOptions
from headrank.reading.readings import ReadingFile, blind_heads
from headrank.reading.sliding_window import KEY

COUNTS = (1, 2, 4, 8, 16, 32, 64)
_RANDOM_DRAWS = 20
SELECTED, LAYER_0 = "Selected heads", "Best layer-0 head"
RANDOM = f"Random, mean of {_RANDOM_DRAWS}"


@dataclass(frozen=True)
class Measurement:
    """A measure's mean over queries and its interval.

    Attributes:
        relevance_level: lowest grade that counts as relevant, where the measure needs one.
        seed: of the bootstrap, and of what is drawn beside it.
    """

    measure: str = "nDCG@10"
    relevance_level: int = 1
    confidence: float = 0.95
    seed: int = 0

    def values(self, run: Run, qrels: Qrels) -> np.ndarray:
        """Return ``[queries]`` values, every judged query counted."""
        table = evaluate(run, qrels, [self.measure], self.relevance_level)
        return table["value"].to_numpy(float)

    def summary(self, values: np.ndarray) -> dict[str, float]:
        """Return mean, low, high (BCa over queries) and n of ``[queries]`` values."""
        low, high = bca_interval(values, self.confidence, seed=self.seed)
        return {"mean": float(values.mean()), "low": low, "high": high, "n": len(values)}


MEASUREMENT = Measurement()
"""What the studies measure unless told otherwise."""


def ndcg_by_heads(
    shards: Sequence[ReadingFile],
    qrels: Qrels,
    profile: Profile,
    selections: Mapping[str, tuple[SelectionOptions, Fold]],
    *,
    counts: Sequence[int] = COUNTS,
    measurement: Measurement = MEASUREMENT,
) -> pd.DataFrame:
    """Return the measure against the number of heads, selection by selection.

    Columns: selection, heads, mean, low, high (BCa over queries), n. The last point of each
    selection joins all heads of the model, or all that see every document, where layers slide.

    Args:
        shards: readings of one evaluation set in one prompt order.
        profile: of other queries, else the curve shows what was fitted.
        selections: ``{name: (criterion and entropy weight, fold)}``; ``heads`` is replaced.
    """
    total = int(np.prod(profile.entropy.shape[1:]))
    blind = _blind(shards)
    rows = []
    for name, (options, how) in selections.items():
        ranked = _best_first(profile, options, blind)
        for count in [*(c for c in sorted(counts) if c < len(ranked.heads)), len(ranked.heads)]:
            heads = HeadSet(ranked.heads[:count], ranked.provenance)
            run = rank(shards, None if count == total else heads, how, name)
            row = {"selection": name, "heads": count}
            rows.append(row | measurement.summary(measurement.values(run, qrels)))
    return pd.DataFrame(rows)


def ndcg_by_depth(
    shards: Sequence[ReadingFile],
    qrels: Qrels,
    profile: Profile,
    selections: Mapping[str, tuple[SelectionOptions, Fold]],
    *,
    step: int = 3,
    measurement: Measurement = MEASUREMENT,
) -> pd.DataFrame:
    """Return the measure against the deepest layer that heads may come from.

    Columns: selection, deepest (layers count from 0), heads, mean, low, high (BCa over
    queries), n. Each selection is made anew from the layers up to that one, of as many
    heads as it takes, or of all there where they are fewer. The last point of each is the
    selection itself; the others lie every ``step`` layers before it. A depth where no head
    sees every document has no point.

    Args:
        shards, profile: as in `ndcg_by_heads`.
        selections: ``{name: (selection, fold)}``; the end of ``layers`` is replaced.

    Raises:
        HeadRankError: step is below 1.
    """
    if step < 1:
        raise HeadRankError(f"step is {step}; go at least 1 layer from point to point")
    layers = profile.entropy.shape[1]
    blind = _blind(shards)
    rows = []
    for name, (options, how) in selections.items():
        first, last = options.layers or (0, layers - 1)
        for deepest in sorted(range(min(last, layers - 1), first - 1, -step)):
            allowed = replace(options, layers=(first, deepest))
            if not _available(profile, allowed, blind).any():
                continue
            ranked = _best_first(profile, allowed, blind)
            heads = HeadSet(ranked.heads[: options.heads], ranked.provenance)
            values = measurement.values(rank(shards, heads, how, name), qrels)
            row = {"selection": name, "deepest": deepest, "heads": len(heads.heads)}
            rows.append(row | measurement.summary(values))
    return pd.DataFrame(rows)


def head_controls(
    readings: Mapping[str, Sequence[ReadingFile]],
    qrels: Qrels,
    heads: HeadSet,
    how: Fold,
    measurement: Measurement = MEASUREMENT,
) -> pd.DataFrame:
    """Return selected heads against controls in each prompt order, so that recency shows.

    Columns: order, system, mean, low, high, n. Systems: the selected heads; the best single
    head of layer 0, which sees no context, chosen anew in each order on these very queries
    (an upper bound; documents out of a sliding window tie at no mass); a random ranking,
    averaged over 20 draws.

    Args:
        readings: ``{order: shards}`` of one query set.
    """
    if not readings:
        raise HeadRankError("no readings: give at least one prompt order")
    rows = []
    for order, shards in readings.items():
        candidates = Run.from_scores(
            {
                # Draws know no order: in each the same documents stand at the same places.
                entry["query_id"]: {d: -float(i) for i, d in enumerate(sorted(entry["doc_ids"]))}
                for shard in shards
                for entry in shard.meta["queries"]
            },
            order,
        )
        width = next(iter(shards[0])).query.shape[1]

        def measured(run: Run) -> np.ndarray:
            return measurement.values(run, qrels)

        first = [
            measured(rank(shards, HeadSet((Head(0, head),)), Fold(), f"0.{head}", blind=True))
            for head in range(width)
        ]
        draws = [
            measured(random_run(candidates, measurement.seed + draw))
            for draw in range(_RANDOM_DRAWS)
        ]
        systems = {
            SELECTED: measured(rank(shards, heads, how, SELECTED)),
            LAYER_0: max(first, key=np.mean),
            RANDOM: np.mean(draws, axis=0),
        }
        for name, values in systems.items():
            row = {"order": order, "system": name}
            rows.append(row | measurement.summary(values))
    return pd.DataFrame(rows)


def _blind(shards: Sequence[ReadingFile]) -> np.ndarray | None:
    """Return ``[layers, heads]``: heads that miss a document; None if no layer slides."""
    if KEY not in shards[0].meta["provenance"]:
        return None
    return blind_heads(reading for shard in shards for reading in shard)


def _available(profile: Profile, options: SelectionOptions, blind: np.ndarray | None) -> np.ndarray:
    """Return ``[layers, heads]``: heads of the allowed layers that see every document."""
    allowed = np.isfinite(profile.scores(options))
    return allowed if blind is None else allowed & ~blind


def _best_first(profile: Profile, options: SelectionOptions, blind: np.ndarray | None) -> HeadSet:
    """Return all heads that are available, whatever number the selection takes."""
    count = int(np.isfinite(profile.scores(options)).sum())
    ranked = profile.select(replace(options, heads=count))
    seeing = _available(profile, options, blind)
    heads = tuple(one for one in ranked.heads if seeing[one.layer, one.head])
    return HeadSet(heads, ranked.provenance)
