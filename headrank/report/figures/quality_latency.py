"""Effectiveness against the cost of a query."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from headrank.report.figures.style import COLUMN, LIGHT, looks, new_figure, styled
from headrank.report.names import label


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
    figure = new_figure(COLUMN, 2.1 + 0.09 * len(points))
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
    several = "model" in points.columns and points["model"].nunique() > 1
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
            label=label(name, names) + (f" ({row['model']})" if several else ""),
        )
    axes.margins(x=0.05, y=0.1)
    if _spread(points["seconds"]) > 10:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("CPU seconds a query")
    axes.set_ylabel(measure)
    # Below, not beside the points: a fusion costs as much as its method and lies right above it.
    figure.legend(loc="outside lower center", ncols=2, columnspacing=1)
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


def draw_quality_latency(points: str, *, measure: str, names: Mapping[str, str]) -> Figure:
    """Return the figure of a file of costs; what was timed but not evaluated has no point."""
    table = pd.read_csv(points).dropna(subset=["value"])
    return quality_latency(table, measure=measure, names=names)
