"""Relevance along the prompt: do scores follow the position or the document?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headrank.evaluation.homogenisation import chance_share, position_share
from headrank.report.figures.style import (
    BLUE,
    GREY,
    MIDDLE_ZONE,
    PAGE,
    RED,
    STYLE,
    counted,
    new_figure,
    styled,
    subject,
)
from headrank.report.names import label

_ACROSS = 3  # panels in a row; a fourth would leave no room for the titles
_KINDS = {"relevant": (RED, "o", "Relevant"), "other": (BLUE, "s", "Other")}


@styled
def homogenisation(systems: Mapping[str, pd.DataFrame]) -> Figure:
    """Return one panel a system: mean z-scored relevance by prompt position, with its spread.

    Args:
        systems: ``{title: positions}``, each of
            :func:`headrank.evaluation.homogenisation.by_position`, e.g. all heads, selected heads,
            aligned heads.
    """
    across = min(_ACROSS, len(systems))
    down = -(-len(systems) // across)
    figure = new_figure(min(PAGE, 0.5 + 2.15 * across), 0.6 + 1.75 * down)
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    panels = grid.ravel()[: len(systems)]
    for axes in grid.ravel()[len(systems) :]:
        axes.remove()
    for axes, (title, positions) in zip(panels, systems.items(), strict=True):
        _panel(axes, positions, {kind: _documents(systems.values(), kind) for kind in _KINDS})
        axes.set_title(title, pad=13)
        share = position_share(positions)
        chance = chance_share(positions)
        told = f"position explains {share:.0%}, by chance {chance:.0%}"
        axes.text(
            0.5,
            1.02,
            "no document that is not relevant" if np.isnan(share) else told,
            transform=axes.transAxes,
            ha="center",
            va="bottom",
            fontsize=6.2,
            color=GREY,
        )
    # The lowest panel of each column: the last row may be shorter.
    for axes in panels[-across:]:
        axes.set_xlabel("Position in the prompt (%)")
        axes.tick_params(labelbottom=True)
    figure.supylabel("Relevance (z-score in its list)", fontsize=STYLE["axes.labelsize"])
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=across)
    return figure


def _documents(tables: Iterable[pd.DataFrame], kind: str) -> str:
    """Return how many documents a point of a kind stands for, over all panels."""
    parts = [part[(part["kind"] == kind) & (part["documents"] > 0)] for part in tables]
    return counted(pd.concat(parts)["documents"], "documents a point")


def _panel(axes: Axes, positions: pd.DataFrame, documents: Mapping[str, str]) -> None:
    """Draw one system; ``documents`` says of each kind how many a point stands for."""
    axes.axvspan(25, 75, color=MIDDLE_ZONE, linewidth=0, zorder=0, label="Middle zone")
    axes.axhline(0, color=GREY, linewidth=0.6)
    for kind, (colour, marker, text) in _KINDS.items():
        part = positions[(positions["kind"] == kind) & (positions["documents"] > 0)]
        centre = 50 * (part["start"] + part["stop"])
        spread = part["sd"].fillna(0)
        axes.fill_between(
            centre,
            part["mean"] - spread,
            part["mean"] + spread,
            color=colour,
            alpha=0.16,
            linewidth=0,
            label=f"{text} ± 1 sd",
        )
        told = f"{text}: {documents[kind]}" if documents[kind] else text
        axes.plot(centre, part["mean"], color=colour, marker=marker, markersize=3, label=told)
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 25))


def draw_homogenisation(
    positions: str, *, model: str, name: str, names: Mapping[str, str]
) -> Figure:
    """Return the figure of a study's file, one panel a method."""
    systems = {
        label(method, names): part
        for method, part in pd.read_csv(positions).groupby("system", sort=False)
    }
    return subject(homogenisation(systems), names.get(model, model), names.get(name, name))
