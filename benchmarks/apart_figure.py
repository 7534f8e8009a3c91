"""The figure of the growth of documents read apart: seconds a list against its documents."""

from __future__ import annotations

import os

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from headrank.report.figures.style import BLUE, GREEN, ORANGE, RED, new_figure, save, styled

_LOOKS = {
    "joint": ("joint", ORANGE, "s"),
    "block": ("block", BLUE, "o"),
    "disk": ("block, documents on disk", GREEN, "D"),
    "stored": ("block, documents in memory", RED, "^"),
}
_WIDTH, _HEIGHT = 3.5, 2.6  # inches


@styled
def figure(table: pd.DataFrame) -> Figure:
    """Return one panel on two logarithmic axes, a line a case, as ``growth`` measured it."""
    drawn = new_figure(_WIDTH, _HEIGHT)
    axes = drawn.subplots()
    for case, (label, colour, marker) in _LOOKS.items():
        part = table[table["case"] == case].sort_values("documents")
        axes.plot(
            part["documents"], part["seconds"], color=colour, marker=marker, ms=3.6, label=label
        )
        axes.fill_between(part["documents"], part["low"], part["high"], color=colour, alpha=0.15)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    counts = sorted(table["documents"].unique())
    axes.xaxis.set_major_locator(FixedLocator(counts))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.set_xlabel("documents in the list")
    axes.set_ylabel("seconds a list")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize="small")
    return drawn


def draw(table: pd.DataFrame, stem: str | os.PathLike) -> None:
    """Write the figure as PDF and PNG."""
    save(figure(table), stem)
