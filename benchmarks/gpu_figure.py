"""The figure of the GPU benchmark: milliseconds a list, and the share of the card's peak."""

from __future__ import annotations

import os

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from headrank.report.figures.style import BLUE, GREEN, ORANGE, PAGE, RED, new_figure, save, styled

_LOOKS = [(BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (RED, "^")]


@styled
def figure(table: pd.DataFrame) -> Figure:
    """Return two panels, a row a case and size of lists, a colour a model.

    Args:
        table: as ``benchmarks.gpu.run`` returns it; of several cards the last one measured.
    """
    table = table.dropna(subset=["ms"])
    card = table["card"].iloc[-1]
    table = table[table["card"] == card]
    names = [
        f"{row.case}, {row.documents} documents"
        + f", {row.batch} lists" * (row.batch > 1)
        + f", {row.kernels}" * (row.kernels != "all")
        for row in table.itertuples()
    ]
    table = table.assign(name=names)
    rows = list(dict.fromkeys(table["name"]))
    drawn = new_figure(PAGE, 0.6 + 0.18 * len(rows))
    left, right = drawn.subplots(1, 2, sharey=True)
    for (model, part), (colour, marker) in zip(
        table.groupby("model", sort=False), _LOOKS, strict=False
    ):
        places = [rows.index(name) for name in part["name"]]
        look = {"linestyle": "none", "color": colour, "marker": marker, "markersize": 3.6}
        left.plot(part["ms"], places, label=model, **look)
        right.plot(part["percent_of_peak"].astype(float), places, **look)
    left.set_yticks(range(len(rows)), rows)
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.set_xscale("log")
    left.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.xaxis.set_major_formatter(ScalarFormatter())
    left.xaxis.set_minor_formatter(NullFormatter())
    left.set_xlabel("milliseconds a list")
    right.set_xlabel("per cent of the card's peak")
    right.set_xlim(left=0)
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    right.set_title(card, loc="center")
    return drawn


def draw(table: pd.DataFrame, stem: str | os.PathLike) -> None:
    """Write the figure as PDF and PNG."""
    save(figure(table), stem)
