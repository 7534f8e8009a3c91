"""Promotion out of the middle zone, before and after alignment."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headrank.report.figures.style import (
    BLACK,
    BLUE,
    COLUMN,
    GREY,
    PAGE,
    RED,
    counted,
    group_rows,
    name_rows,
    new_figure,
    panel_letter,
    styled,
    subject,
)
from headrank.report.names import label

_KINDS = {"relevant": (RED, "o", "Relevant"), "other": (BLUE, "s", "Other")}


@styled
def middle_zone(rates: pd.DataFrame, *, names: Mapping[str, str] | None = None) -> Figure:
    """Return promotion rates of relevant and other documents, and the gap, system by system.

    Args:
        rates: rows of :func:`headrank.evaluation.middle_zone.promotion` with a column ``system``
            (before, then after) and, for several sets, ``set``. The legend says how many
            ``documents`` a rate is of, if that is told.
        names: printed names of methods, where they differ from the usual ones.
    """
    keys = rates[["set", "system"]] if "set" in rates else rates[["system"]].assign(set="")
    systems = keys.drop_duplicates()
    places, heads, end = group_rows(systems["set"])
    place_of = dict(zip(zip(systems["set"], systems["system"], strict=True), places, strict=True))
    own = zip(keys["set"], keys["system"], strict=True)
    points = rates.assign(place=[place_of[key] for key in own])
    printed = [label(name, names) for name in systems["system"]]
    wide = max(map(len, printed)) > 28  # of a column it would leave the panels too little
    figure = new_figure(
        PAGE if wide else COLUMN, (1.35 if "documents" in rates else 0.95) + 0.2 * end
    )
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.3, 1))
    panel_letter(left, "a")
    panel_letter(right, "b")
    for shift, (kind, (colour, marker, text)) in zip((-0.13, 0.13), _KINDS.items(), strict=True):
        part = points[points["kind"] == kind]
        if "documents" in part:
            text += f" ({counted(part['documents'], 'documents')})"
        _points(left, part, shift, colour, marker, text)
    left.axvline(25, color=GREY, linestyle=(0, (2, 2)), linewidth=0.9, label="Random ranking")
    left.set_xlim(0, None)
    left.set_xlabel("Promoted (%)")
    _points(right, points[points["kind"] == "gap"], 0, BLACK, "D", None)
    right.axvline(0, color=GREY, linewidth=0.8)
    right.set_xlabel("Gap (points)")
    name_rows(left, places, printed, heads, end)
    right.grid(axis="y", visible=False)
    right.tick_params(axis="y", length=0)
    columns = 1 if "documents" in points else 3
    figure.legend(loc="outside lower center", ncols=columns, columnspacing=1)
    return figure


def _points(
    axes: Axes, part: pd.DataFrame, shift: float, colour: str, marker: str, text: str | None
) -> None:
    bounds = 100 * part[["rate", "low", "high"]]
    axes.errorbar(
        bounds["rate"],
        part["place"] + shift,
        xerr=[bounds["rate"] - bounds["low"], bounds["high"] - bounds["rate"]],
        fmt=marker,
        color=colour,
        elinewidth=1,
        label=text,
    )


def draw_middle_zone(rates: str, *, model: str, name: str, names: Mapping[str, str]) -> Figure:
    """Return the figure of a study's file; see ``middle_zone``."""
    table = pd.read_csv(rates)
    queries = counted(table["queries"]) if "queries" in table else ""
    figure = middle_zone(table, names=names)
    return subject(figure, names.get(model, model), names.get(name, name), queries)
