"""Tables of what the prompt's positions do to a ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from headrank.evaluation.homogenisation import ZONES, chance_share, position_share
from headrank.report import names as labels
from headrank.report.tables.significance import P, mark
from headrank.report.tables.table import Column, Table, from_frame

_POINTS = {"digits": 1, "signed": True}


def middle_table(
    rates: pd.DataFrame, *, confidence: float = 0.95, names: Mapping[str, str] | None = None
) -> Table:
    """Return promotion rates from the middle zone, system by system.

    Args:
        rates: rows of :func:`headrank.evaluation.middle_zone.promotion` with a column ``system``
            before them, and optionally ``set``; and for aligned systems ``before``, the same heads
            unaligned, with the columns of :func:`headrank.evaluation.middle_zone.promotion_change`.
        names: printed names of methods, where they differ from the usual ones.
    """
    index = [name for name in ("set", "system") if name in rates.columns]
    known = rates.drop_duplicates(index)[index]
    values = ["rate", "low", "high", "documents", "queries"]
    compared = "change" in rates.columns
    if compared:
        values += ["change", "change_low", "change_high", "change_p"]
    wide = rates.pivot(index=index, columns="kind", values=values)
    wide.columns = [f"{kind}_{name}" for name, kind in wide.columns]
    frame = known.merge(wide.reset_index(), on=index)  # in the order given, pivot sorts
    frame["system"] = [labels.label(name, names) for name in frame["system"]]
    columns = [Column("system", "System")]
    for kind, title in (("relevant", "Relevant"), ("other", "Other")):
        bounds = (f"{kind}_low", f"{kind}_high")
        columns.append(Column(f"{kind}_rate", title, "promoted (%)", digits=1, interval=bounds))
        frame[[f"{kind}_{name}" for name in ("rate", "low", "high")]] *= 100
        columns.append(Column(f"{kind}_documents", title, "documents", digits=0))
    bounds = ("gap_low", "gap_high")
    frame[["gap_rate", *bounds]] *= 100
    columns.append(Column("gap_rate", "Selectivity gap", "points", interval=bounds, **_POINTS))
    if compared:
        bounds = ("gap_change_low", "gap_change_high")
        frame[["gap_change", *bounds]] *= 100
        columns.append(Column("gap_change", "Less unaligned", "points", interval=bounds, **_POINTS))
        columns.append(replace(P, key="gap_change_p"))
    order = ["system", "relevant_rate", "other_rate", "gap_rate", "gap_change", "gap_change_p"]
    order += ["relevant_documents", "other_documents"]
    columns.sort(key=lambda column: order.index(column.key))
    notes = [
        "Middle zone: prompt positions n/4 to 3n/4. Promoted: share of its documents that reach "
        "the top quartile of the final ranking; a random ranking promotes a quarter.",
        f"Brackets: {confidence:.0%} bootstrap intervals over queries.",
    ]
    if compared:
        notes.append(
            "Less unaligned: the same heads' gap without the adapter, queries paired; p: of a "
            "paired permutation test of it, uncorrected."
        )
    table = from_frame(
        "Promotion from the middle zone",
        frame,
        columns,
        section="set" if "set" in frame.columns else None,
        notes=notes,
        tidy=rates,
    )
    return mark(table, "gap_change", "gap_change_p", confidence) if compared else table


def homogenisation_table(
    positions: pd.DataFrame,
    spread: pd.DataFrame,
    *,
    confidence: float = 0.95,
    names: Mapping[str, str] | None = None,
) -> Table:
    """Return how far scores follow the position and how far they lie apart, system by system.

    Args:
        positions: rows of :func:`headrank.evaluation.homogenisation.by_position` with a column
            ``system``.
        spread: rows of :func:`headrank.evaluation.homogenisation.zone_spread` with a column
            ``system``.
        names: printed names of methods, where they differ from the usual ones.
    """
    rows = []
    for system, part in positions.groupby("system", sort=False):
        row = {
            "system": labels.label(system, names),
            "explained": 100 * position_share(part),
            "chance": 100 * chance_share(part),
        }
        for zone in spread[spread["system"] == system].to_dict("records"):
            row |= {f"{zone['zone']}_{key}": zone[key] for key in ("spread", "low", "high")}
        rows.append(row)
    titles = {"start": "First quarter", "middle": "Middle half", "end": "Last quarter"}
    columns = [
        Column("system", "System"),
        Column("explained", "Explained by position (%)", digits=1),
        Column("chance", "By chance (%)", digits=1),
        *(
            Column(
                f"{zone}_spread",
                titles[zone],
                "Spread",
                digits=2,
                interval=(f"{zone}_low", f"{zone}_high"),
            )
            for zone in ZONES
        ),
    ]
    notes = (
        "Explained by position: share of the variance of irrelevant documents' relevance (z-scored "
        "in its list) that the place in the prompt explains. By chance: what it would seem to "
        "explain, in expectation, had it no say.",
        "Spread: standard deviation of relevance in that part of the prompt over that of the whole "
        f"list, over all queries; brackets: {confidence:.0%} BCa intervals over queries. "
        "Near 0 a part is homogenised.",
    )
    return from_frame(
        "Relevance along the prompt",
        pd.DataFrame(rows),
        columns,
        notes=notes,
        tidy=spread,
    )


def tabulate_middle(rates: str, *, confidence: float, names: Mapping[str, str]) -> Table:
    """Return the table of the middle zone of a study's file; see ``middle_table``."""
    return middle_table(pd.read_csv(rates), confidence=confidence, names=names)


def tabulate_homogenisation(
    positions: str, spread: str, *, confidence: float, names: Mapping[str, str]
) -> Table:
    """Return the table of relevance along the prompt; see ``homogenisation_table``."""
    return homogenisation_table(
        pd.read_csv(positions), pd.read_csv(spread), confidence=confidence, names=names
    )
