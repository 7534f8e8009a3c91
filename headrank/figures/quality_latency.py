"""Effectiveness against the cost of a query."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from headrank.figures.style import COLUMN, LIGHT, looks, new_figure, styled
from headrank.labels import label

# Offsets in points and alignments, the most wanted side first.
_SIDES = [
    (5, 0, "left", "center"),
    (-5, 0, "right", "center"),
    (0, 5, "center", "bottom"),
    (0, -5, "center", "top"),
    (4, 4, "left", "bottom"),
    (-4, 4, "right", "bottom"),
    (4, -4, "left", "top"),
    (-4, -4, "right", "top"),
]


@styled
def quality_latency(
    points: pd.DataFrame,
    *,
    measure: str = "nDCG@10",
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Return one point a system: CPU seconds a query along, the measure up.

    The grey line is the best value to be had at a cost. The axis of costs is linear where the
    systems that cost anything lie within one order of magnitude, else logarithmic.

    Args:
        points: method, seconds, value, and optionally low, high (of the value) and model
            (named with the method if there are several).
        names: printed names of methods, where they differ from the usual ones.
    """
    figure = new_figure(COLUMN, 2.5)
    axes = figure.subplots()
    front = _front(points)
    axes.plot(
        front["seconds"],
        front["value"],
        color=LIGHT,
        linewidth=1.2,
        drawstyle="steps-post",
        zorder=1,
    )
    styles = looks(points["method"])
    for row in points.to_dict("records"):
        name, bars = row["method"], None
        look = styles[name]
        if "low" in row and "high" in row:
            bars = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
        axes.errorbar(
            row["seconds"],
            row["value"],
            bars,
            fmt=look.marker,
            color=look.colour,
            elinewidth=0.8,
            markersize=5,
            fillstyle="none" if "+" in name else "full",
        )
    axes.margins(x=0.2, y=0.1)
    if _spread(points["seconds"]) > 10:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("CPU seconds a query")
    axes.set_ylabel(measure)
    several = "model" in points.columns and points["model"].nunique() > 1
    texts = [
        label(row["method"], names) + (f" ({row['model']})" if several else "")
        for row in points.to_dict("records")
    ]
    _place(axes, points, texts)
    return figure


def _spread(seconds: pd.Series) -> float:
    """Return the largest cost over the smallest, without those below a hundredth of it.

    A first stage costs next to nothing beside a model; a logarithmic axis would be drawn for
    it alone, and squeeze the models together.
    """
    largest = float(seconds.max())
    return largest / float(seconds[seconds >= largest / 100].min())


def _front(points: pd.DataFrame) -> pd.DataFrame:
    """Return the systems that none beats in both cost and value, cheapest first."""
    ordered = points.sort_values(["seconds", "value"], ascending=[True, False])
    return ordered[ordered["value"] > ordered["value"].cummax().shift(fill_value=float("-inf"))]


def _place(axes: Axes, points: pd.DataFrame, texts: list[str]) -> None:
    """Write each name beside its point, on the side where it covers least."""
    figure = axes.figure
    figure.draw_without_rendering()  # the layout must be known to measure texts
    frame = axes.get_window_extent()
    unit = figure.dpi / 72
    spots = axes.transData.transform(points[["seconds", "value"]].to_numpy(float))
    taken = [Bbox.from_bounds(x - 4 * unit, y - 4 * unit, 8 * unit, 8 * unit) for x, y in spots]
    taken += [bar.get_window_extent().padded(2 * unit) for bar in axes.collections]
    for shown, (x, y) in zip(texts, spots, strict=True):
        tries = []
        for across, up, ha, va in _SIDES:
            text = axes.annotate(
                shown,
                axes.transData.inverted().transform((x, y)),
                xytext=(across, up),
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize=6.5,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )
            box = text.get_window_extent()
            tries.append((_covered(box, taken) + _outside(box, frame), text, box))
        _, text, box = min(tries, key=lambda entry: entry[0])
        for _, other, _ in tries:
            if other is not text:
                other.remove()
        taken.append(box)


def _covered(box: Bbox, others: list[Bbox]) -> float:
    """Return the area, in pixels, that a box shares with others."""
    shared = (Bbox.intersection(box, other) for other in others)
    return sum(part.width * part.height for part in shared if part is not None)


def _outside(box: Bbox, frame: Bbox) -> float:
    """Return the area, in pixels, by which a box leaves the axes."""
    inside = Bbox.intersection(box, frame)
    return box.width * box.height - (inside.width * inside.height if inside is not None else 0)
