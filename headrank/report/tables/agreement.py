"""The table of how far a method read in one text and read apart agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from headrank.data.trec import Run
from headrank.evaluation.agreement import TOP, agreement
from headrank.evaluation.significance import bca_interval
from headrank.report.names import label
from headrank.report.tables.table import Column, Table, from_frame


def agreement_table(
    values: pd.DataFrame,
    *,
    confidence: float,
    seed: int,
    names: Mapping[str, str] | None = None,
) -> Table:
    """Return mean agreement over queries, with its interval, pair by pair.

    Args:
        values: rows of :func:`headrank.evaluation.agreement.agreement` with the columns ``set``,
            ``first``, ``first_order``, ``second`` and ``second_order`` (empty for a ranking that
            no order changes); several training seeds are averaged query by query.
        names: printed names of methods, sets and orders.
    """
    known, keys = dict(names or {}), ["set", "first", "first_order", "second", "second_order"]
    rows = []
    for key, part in values.groupby(keys, sort=False):
        row = dict(zip(keys, key, strict=True))
        means = part.groupby("query")[["tau", "overlap"]].mean()
        for column in means:
            own = means[column].dropna().to_numpy(float)
            low, high = bca_interval(own, confidence, seed=seed) if len(own) else (None, None)
            row |= {column: own.mean() if len(own) else float("nan")}
            row |= {f"{column}_low": low, f"{column}_high": high}
        for side in ("first", "second"):
            order = row[f"{side}_order"]
            row[side] = label(row[side], known) + (f", {known.get(order, order)}" if order else "")
        row["section"] = f"{known.get(row['set'], row['set'])} (n = {len(means)})"
        rows.append(row)
    columns = (
        Column("first", "Ranking"),
        Column("second", "And"),
        Column("tau", "Kendall's tau", digits=3, interval=("tau_low", "tau_high")),
        Column(
            "overlap",
            f"Top {TOP} in common",
            digits=3,
            interval=("overlap_low", "overlap_high"),
        ),
    )
    return from_frame(
        "Agreement of a joint prompt with documents read apart",
        pd.DataFrame(rows),
        columns,
        section="section",
        notes=(
            f"Means over queries; brackets: {confidence:.0%} BCa intervals over queries. For "
            "scale: the joint method with itself in another order of the prompt.",
        ),
        tidy=values,
    )


def tabulate_agreement(
    runs: Sequence[str],
    *,
    pairs: Sequence[Mapping],
    confidence: float,
    seed: int,
    names: Mapping[str, str],
) -> Table:
    """Return the table of runs' files; see ``agreement_table``.

    Args:
        pairs: set, methods and orders of each pair, and ``files``: the places of its two runs.
    """
    loaded = {place: Run.load(runs[place]) for pair in pairs for place in pair["files"]}
    parts = []
    for pair in pairs:
        first, second = (loaded[place] for place in pair["files"])
        told = {key: value for key, value in pair.items() if key != "files"}
        parts.append(agreement(first, second).assign(**told))
    return agreement_table(pd.concat(parts), confidence=confidence, seed=seed, names=names)
