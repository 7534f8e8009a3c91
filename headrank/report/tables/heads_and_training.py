"""Tables about heads, pairs and training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from headrank.data.heads import HeadSet
from headrank.errors import HeadRankError
from headrank.heads.profile import Profile
from headrank.options.selection import SelectionOptions
from headrank.report import names as labels
from headrank.report.tables.significance import P, mark
from headrank.report.tables.table import Column, Table, from_frame

_VALUE = {"digits": 3}


def head_table(
    selections: Mapping[str, HeadSet],
    stability: Mapping[str, np.ndarray] | None = None,
    names: Mapping[str, str] | None = None,
    blind: Mapping[str, np.ndarray | None] | None = None,
) -> Table:
    """Return the selected heads of each selection, best first.

    Args:
        stability: ``{selection: [layers, heads]}``: share of bootstrap samples of the
            profiling queries that select a head (``Profile.stability``).
        names: printed names of selections, where they differ from the usual ones.
        blind: ``{selection: [layers, heads]}``, True where a sliding window misses a document of
            the profiled lists (``Profile.blind``); told in a note, as it differs between layouts.
    """
    rows = []
    for name, chosen in selections.items():
        for rank, head in enumerate(chosen.heads, start=1):
            share = None
            if stability is not None and name in stability:
                share = float(stability[name][head.layer, head.head])
            others = sum(
                (head.layer, head.head) in other.pairs
                for key, other in selections.items()
                if key != name
            )
            rows.append(
                {
                    "selection": labels.label(name, names),
                    "rank": rank,
                    "layer": head.layer,
                    "head": head.head,
                    "score": head.score,
                    "discriminability": head.discriminability,
                    "entropy": head.entropy,
                    "stability": share,
                    "shared": others,
                    "window": head.window,
                }
            )
    columns = [
        Column("rank", "Rank", digits=0),
        Column("layer", "Layer", digits=0),
        Column("head", "Head", digits=0),
        Column("score", "Score", **_VALUE),
        Column("discriminability", "Discriminability", **_VALUE),
        Column("entropy", "Entropy", **_VALUE),
        Column("stability", "Stability", digits=2),
        Column("shared", "Other selections", digits=0),
    ]
    slides = any(head.window is not None for chosen in selections.values() for head in chosen.heads)
    if slides:
        columns.append(Column("window", "Window", digits=0))
    notes = (
        "Layers and heads count from 0. Score: discriminability less weighted entropy, mean over "
        "profiling queries; scales differ between criteria.",
        "Stability: share of bootstrap samples of the profiling queries that select the head. "
        "Other selections: how many of them hold the head too.",
    )
    if slides:
        notes += (
            "Window: tokens that a head with sliding attention looks back over; empty for full "
            "attention. Each head reaches every document of the profiled lists.",
        )
    notes += tuple(_blind_notes(blind or {}, names))
    frame = pd.DataFrame(rows)
    return from_frame("Selected heads", frame, columns, section="selection", notes=notes)


def _blind_notes(
    blind: Mapping[str, np.ndarray | None], names: Mapping[str, str] | None
) -> Iterator[str]:
    """Yield which heads could not be selected, once for selections of which the same is true."""
    of: dict[bytes, list[str]] = {}
    for name, missed in blind.items():
        if missed is not None and missed.any():
            of.setdefault(missed.tobytes(), []).append(name)
    for several in of.values():
        missed = blind[several[0]]
        seeing = np.flatnonzero(~missed.all(axis=1))
        where = ""
        if len(several) < len(blind):
            where = f"{', '.join(labels.label(name, names) for name in several)}: "
        yield (
            f"{where}{int(missed.sum())} of {missed.size} heads could not be selected: their "
            "sliding window misses a document of the profiled lists. Layers with heads that see "
            "all: "
            f"{', '.join(map(str, seeing)) or 'none'}."
        )


def pairs_table(summary: pd.DataFrame) -> Table:
    """Return the pairs of each boundary between grades (``PairSet.summary``)."""
    columns = [
        Column("chosen_grade", "Chosen grade", digits=0),
        Column("rejected_grade", "Rejected grade", digits=0),
        Column("pairs", "Pairs", digits=0),
        Column("queries", "Queries", digits=0),
        Column("mean_margin", "Mean margin", signed=True, **_VALUE),
        Column("misordered", "Misordered", digits=3),
    ]
    notes = (
        "Margin: relevance of the chosen less that of the rejected document under the unaligned "
        "heads. Misordered: share of pairs with a margin of 0 or less.",
    )
    if summary["mean_margin"].isna().any():
        notes += ("Without margins: none of these pairs' lists was read (pairs.margins: false).",)
    return from_frame("Training pairs", summary, columns, notes=notes)


def ablation_table(differences: pd.DataFrame, *, measure: str, confidence: float = 0.95) -> Table:
    """Return each setting's mean and its difference to the default, factor by factor.

    Args:
        differences: of :func:`headrank.evaluation.comparisons.differences`.
    """
    frame = differences.assign(
        setting=[
            f"{row.setting} (default)" if row.default else str(row.setting)
            for row in differences.itertuples()
        ],
        # The default differs from itself by nothing: neither an interval nor a test.
        difference=differences["difference"].where(~differences["default"]),
        p=differences["p"].where(~differences["default"]),
        p_holm=differences["p_holm"].where(~differences["default"]),
    )
    columns = [
        Column("setting", "Setting"),
        Column("mean", measure, **_VALUE),
        Column("difference", "Difference", signed=True, interval=("low", "high"), **_VALUE),
        P,
        Column("p_holm", "p (Holm)", digits=4, probability=True),
    ]
    count = int((~differences["default"]).sum())
    notes = (
        f"Difference to the default on the same {int(differences['n'].max())} queries, with its "
        f"{confidence:.0%} BCa interval; p of a paired permutation test; p (Holm): after Holm's "
        f"correction over all {count} settings.",
    )
    table = from_frame(
        f"Ablations, {measure}",
        frame,
        columns,
        section="factor",
        notes=notes,
        tidy=differences,
    )
    return mark(table, "difference", "p", confidence)


def seeds_table(
    values: pd.DataFrame,
    *,
    measure: str,
    keys: Sequence[str] = ("set",),
    names: Mapping[str, str] | None = None,
) -> Table:
    """Return mean and standard deviation over training seeds, with the lowest and highest.

    Args:
        values: a row a seed: the keys, ``system``, ``seed``, ``value`` (mean over queries).
        names: printed names of methods, where they differ from the usual ones.

    Raises:
        HeadRankError: a seed stands twice for one system.
    """
    groups = values.groupby([*keys, "system"], sort=False)
    for key, part in groups:
        if part["seed"].duplicated().any():
            twice = part.loc[part["seed"].duplicated(), "seed"].iloc[0]
            raise HeadRankError(
                f"{', '.join(map(str, key))}: seed {twice} has two values; keep one"
            )
    frame = groups["value"].agg(["mean", "std", "min", "max", "size"]).reset_index()
    frame["system"] = [labels.label(name, names) for name in frame["system"]]
    section, *others = keys or [None]
    columns = [Column(key, key.capitalize()) for key in others]
    columns += [
        Column("system", "Method"),
        Column("mean", measure, error="std", **_VALUE),
        Column("min", "Lowest", **_VALUE),
        Column("max", "Highest", **_VALUE),
        Column("size", "Seeds", digits=0),
    ]
    return from_frame(
        f"{measure} over training seeds",
        frame,
        columns,
        section=section,
        notes=("Mean ± standard deviation over training seeds; queries are the same.",),
        tidy=values,
    )


def tabulate_heads(
    profiles: Sequence[str],
    heads: Sequence[str],
    *,
    selections: Mapping[str, Mapping],
    places: Mapping[str, int],
    resamples: int,
    seed: int,
    names: Mapping[str, str],
) -> Table:
    """Return the table of selected heads, with each choice's stability.

    Args:
        profiles: files, one a layout of the prompt.
        heads: files named by their selection.
        places: of ``profiles``, the one that each selection was made from.
    """
    chosen = {Path(path).stem: HeadSet.load(path) for path in heads}
    known = [Profile.load(path) for path in profiles]
    stability = {
        name: known[places[name]].stability(SelectionOptions(**selections[name]), resamples, seed)
        for name in chosen
    }
    blind = {name: known[places[name]].blind for name in chosen}
    return head_table(chosen, stability, names, blind)


def tabulate_pairs(summary: str) -> Table:
    """Return the table of preference pairs of a summary's file; see ``pairs_table``."""
    return pairs_table(pd.read_csv(summary))


def tabulate_ablations(differences: str, *, measure: str, confidence: float) -> Table:
    """Return the table of ablations of a file of differences; see ``ablation_table``."""
    return ablation_table(pd.read_csv(differences), measure=measure, confidence=confidence)


def tabulate_seeds(
    per_run: str,
    *,
    model: str,
    seeds: Mapping[str, str],
    measure: str,
    names: Mapping[str, str],
) -> Table:
    """Return the table of a model's training seeds of an evaluation's file.

    Args:
        seeds: ``{adapter: recipe}``; an adapter is named RECIPE-SEED.
    """
    table = pd.read_parquet(per_run)
    chosen = table["adapter"].isin(list(seeds)) & (table["model"] == model)
    table = table[chosen & (table["measure"] == measure)]
    keys = ["set", "order", "method", "adapter"]
    means = table.groupby(keys, sort=False, observed=True)["value"].mean().reset_index()
    means["seed"] = [adapter.rpartition("-")[2] for adapter in means["adapter"]]
    values = means.rename(columns={"method": "system"}).drop(columns="adapter")
    for column in ("set", "order"):
        values[column] = [names.get(name, name) for name in values[column]]
    return seeds_table(values, measure=measure, keys=("set", "order"), names=names)
