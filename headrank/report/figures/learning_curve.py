"""What more training queries buy."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headrank.io.files import read_json
from headrank.reading.layout import layout_of
from headrank.report.figures.style import (
    BLUE,
    GREEN,
    LOOKS,
    ORANGE,
    PURPLE,
    Look,
    counted,
    reference_lines,
    sized,
    styled,
    subject,
)
from headrank.report.subject import Subject

_LOOKS = (
    LOOKS["headrank"],
    Look(BLUE, "s", (0, (5, 1.5))),
    Look(GREEN, "^", (0, (3, 1))),
    Look(PURPLE, "D", (0, (4, 1, 1, 1))),
    Look(ORANGE, "v", (0, (1, 1))),
)


@styled
def learning_curve(
    points: pd.DataFrame,
    references: Mapping[str, float],
    *,
    measure: str = "nDCG@10",
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Return the measure against the number of training queries: seeds as points, their mean.

    Args:
        points: a row a seed: queries, seed, value (mean over evaluation queries), and ``curve``
            where several kinds of adapters are drawn, each with a line of its own.
        references: ``{method: value}`` drawn as lines: untuned heads, BM25, MiniLM.
        names: printed names of methods, where they differ from the usual ones.
    """
    points = points if "curve" in points else points.assign(curve="HeadRank")
    figure, place = sized([f"{name}, mean of seeds" for name in points["curve"].unique()], 2.4)
    axes = figure.subplots()
    for (name, part), look in zip(
        points.groupby("curve", sort=False), itertools.cycle(_LOOKS), strict=False
    ):
        _curve(axes, part, look, f"{name}, mean of seeds")
    axes.set_xscale("log")
    sizes = sorted(points["queries"].unique())
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=40, ha="right")
    axes.minorticks_off()
    axes.set_xlabel("Training queries")
    axes.set_ylabel(measure)
    values = [*points["value"], *references.values()]
    margin = 0.08 * (max(values) - min(values)) or 0.05
    axes.set_ylim(min(values) - margin, max(values) + margin)
    reference_lines(axes, references, names)
    figure.legend(**place)
    return figure


def _curve(axes: Axes, points: pd.DataFrame, look: Look, name: str) -> None:
    """Draw the seeds of one kind of adapters, their range and their mean."""
    groups = points.groupby("queries")["value"].agg(["mean", "min", "max"]).reset_index()
    axes.fill_between(
        groups["queries"],
        groups["min"],
        groups["max"],
        color=look.colour,
        alpha=0.14,
        linewidth=0,
    )
    axes.plot(groups["queries"], groups["mean"], color=look.colour, linestyle=look.line, label=name)
    axes.plot(
        points["queries"],
        points["value"],
        linestyle="none",
        marker=look.marker,
        markersize=3,
        markerfacecolor="white",
        markeredgecolor=look.colour,
        markeredgewidth=0.6,
    )


def kind_of(card: Mapping) -> str:
    """Return the name of the curve that an adapter belongs to, by its card.

    Adapters for other layouts, or trained on another scale of relevance, are other curves: their
    values are no seeds of one another.
    """
    options = card["options"]
    layout = "both layouts" if options.get("both_layouts") else layout_of(card["prompt"])
    scale = options.get("scale", "log")
    told = [
        "HeadRank",
        *([layout] if layout != "joint" else []),
        *([scale] if scale != "log" else []),
    ]
    return ", ".join(told)


def draw_learning_curve(
    per_run: str,
    cards: Sequence[str],
    *,
    methods: Sequence[str],
    ways: Sequence[str],
    references: Sequence[str],
    of: Mapping,
) -> Figure:
    """Return the learning curve of a model: one point an adapter, one line a reference.

    Args:
        cards: cards of the adapters, ``.../ADAPTER/headrank.json``.
        methods: that of each card; several may share an adapter.
        ways: how each of them reads its adapter. What is read in other ways is another curve.
        of: fields of a ``Subject``.
    """
    about = Subject(**of)
    table = about.rows(pd.read_parquet(per_run))
    alone = table[~table["method"].str.contains("+", regex=False)]
    known = [read_json(path) for path in cards]
    read = {(kind_of(card), way) for card, way in zip(known, ways, strict=True)}
    several = Counter(kind for kind, _ in read)
    points = []
    for path, card, method, way in zip(cards, known, methods, ways, strict=True):
        adapter = Path(path).parent.name
        own = (alone["adapter"] == adapter) & (alone["method"] == method)
        values = alone.loc[own, "value"]
        curve = kind_of(card)
        if several[curve] > 1:
            curve += f", {way}"
        points.append(
            {
                "curve": curve,
                "queries": card["training_queries"],
                "seed": card["seed"],
                "value": values.mean(),
                "n": len(values),
            }
        )
    found = pd.DataFrame(points)
    lines = {
        method: float(table.loc[table["method"] == method, "value"].mean()) for method in references
    }
    return subject(
        learning_curve(found, lines, measure=about.measure, names=about.names),
        about.model_name,
        about.set_name,
        about.names.get(about.order, about.order),
        counted(found["n"]),
    )
