"""Effectiveness against the cost of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from headrank.report.figures.style import (
    BLACK,
    LIGHT,
    counted,
    looks,
    sized,
    styled,
    subject,
)
from headrank.report.names import STORED, label

_APART = 7.0  # points between the middles of two markers that would cover one another
_BARS = 2.0  # between those whose intervals alone would
_MOST = 5.0  # points that one moves at most: a marker's width, lest its cost be misread


@styled
def quality_latency(
    points: pd.DataFrame,
    *,
    measure: str = "nDCG@10",
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Return one point a system: CPU seconds a query along, the measure up.

    The grey line is the best value to be had at a cost. The axis of costs is linear where the
    systems that cost anything lie within one order of magnitude, else logarithmic. Points that
    would cover one another are moved apart, by a marker's width at most, in the order of their
    costs.

    Args:
        points: method, seconds, value, and optionally low, high (of the value), lists (timed)
            and model (named with the method if there are several).
        names: printed names of methods, where they differ from the usual ones.
    """
    several = "model" in points.columns and points["model"].nunique() > 1
    printed = [
        label(row["method"], names) + (f" ({row['model']})" if several else "")
        for row in points.to_dict("records")
    ]
    figure, place = sized(printed, 2.7)
    axes = figure.subplots()
    front = _front(points)
    axes.plot(
        front["seconds"],
        front["value"],
        color=LIGHT,
        linewidth=1.2,
        drawstyle="steps-post",
        zorder=1,
        label="Best at this cost or less",
    )
    styles = looks(points["method"])
    drawn = []
    for row, told in zip(points.to_dict("records"), printed, strict=True):
        name, bars = row["method"], None
        look = styles[name]
        if "low" in row and "high" in row:
            bars = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
        container = axes.errorbar(
            row["seconds"],
            row["value"],
            bars,
            marker=look.marker,
            linestyle="none",
            color=look.colour,
            elinewidth=0.8,
            markersize=5,
            # What is made of a method has its look, hollow (a fusion) or framed (documents stored).
            fillstyle="none" if "+" in name else "full",
            markeredgecolor=BLACK if name.endswith(STORED) else look.colour,
            label=told,
        )
        drawn.append(container)
    axes.margins(x=0.05, y=0.1)
    if _spread(points["seconds"]) > 10:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    timed = ""
    if "lists" in points:
        one = set(points["lists"]) == {1}
        timed = ", on 1 list" if one else f", mean of {counted(points['lists'], 'lists')[4:]}"
    clock = "GPU" if "gpu" in points and points["gpu"].any() else "CPU"
    axes.set_xlabel(f"{clock} seconds a query{timed}")
    axes.set_ylabel(measure)
    figure.legend(**place)
    _set_apart(axes, points, drawn)
    return figure


def _set_apart(axes: Axes, points: pd.DataFrame, drawn: Sequence[ErrorbarContainer]) -> None:
    """Move points that cover one another sideways, in print alone, as little as tells them apart.

    Two do so whose markers are at the same cost and whose markers or intervals meet. They stay
    in the order of their costs, and the axis takes in those that moved beyond its end. Where many
    crowd, they overlap: none moves by more than its width.
    """
    figure = axes.figure
    figure.draw_without_rendering()  # the layout decides how far apart costs are
    scale = figure.dpi / 72
    low, high = (points[name] if name in points else points["value"] for name in ("low", "high"))
    places = axes.transData.transform(points[["seconds", "value"]].to_numpy(float)) / scale
    ends = [
        axes.transData.transform(list(zip(points["seconds"], bound, strict=True)))[:, 1] / scale
        for bound in (low, high)
    ]
    bottoms, tops = ends[0] - _APART / 2, ends[1] + _APART / 2
    moves = np.zeros(len(points))
    left = list(range(len(points)))
    while left:
        cluster = [left.pop(0)]
        for one in cluster:
            near = [
                other
                for other in left
                if abs(places[other, 0] - places[one, 0]) < _APART
                and bottoms[other] < tops[one]
                and bottoms[one] < tops[other]
            ]
            cluster += near
            left = [other for other in left if other not in near]
        cluster.sort(key=lambda one: places[one, 0])
        heights = places[cluster, 1]
        gaps = np.where(np.abs(np.diff(heights)) < _APART, _APART, _BARS)
        asked = _spaced(places[cluster, 0], gaps) - places[cluster, 0]
        moves[cluster] = asked * _MOST / max(_MOST, np.abs(asked).max())
    for container, move in zip(drawn, moves, strict=True):
        moved = axes.transData + ScaledTranslation(move / 72, 0, figure.dpi_scale_trans)
        line, _, bars = container.lines
        for artist in (line, *bars) if move else ():
            artist.set_transform(moved)
    across = (places[:, 0] + moves) * scale
    reach = [across.min() - _APART * scale, across.max() + _APART * scale]
    first, last = axes.transData.inverted().transform([(x, 0) for x in reach])[:, 0]
    start, end = axes.get_xlim()
    axes.set_xlim(min(start, first), max(end, last))


def _spaced(places: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Return the nearest places in the same order that keep the gaps, by least squares.

    Args:
        places: ``[n]``, ascending; ``gaps``: ``[n - 1]``, between neighbours.
    """
    offsets = np.concatenate([[0.0], np.cumsum(gaps)])
    # Without the gaps the places must not descend: those that do are pooled at their mean.
    pools: list[list[float]] = []
    for place in places - offsets:
        pools.append([place])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    return np.concatenate([np.full(len(pool), np.mean(pool)) for pool in pools]) + offsets


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


def draw_quality_latency(
    points: str,
    per_query: str,
    *,
    measure: str,
    model: str,
    name: str,
    names: Mapping[str, str],
) -> Figure:
    """Return the figure of a file of costs; what was timed but not evaluated has no point.

    Args:
        per_query: the evaluation; tells how many queries of the set ``name`` a value is of.
    """
    table = pd.read_csv(points).dropna(subset=["value"])
    known = pd.read_parquet(per_query, columns=["set", "query"])
    queries = known.loc[known["set"] == name, "query"].nunique()
    figure = quality_latency(table, measure=measure, names=names)
    return subject(figure, names.get(model, model), names.get(name, name), counted([queries]))
