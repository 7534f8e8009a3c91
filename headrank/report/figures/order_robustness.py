"""One measure of each method in each prompt order."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from headrank.report.figures.style import (
    BLACK,
    BLUE,
    ORANGE,
    PAGE,
    PURPLE,
    RED,
    SKY,
    counted,
    new_figure,
    styled,
    subject,
)
from headrank.report.names import label
from headrank.report.tables.cells import cell_means

_ORDERS = {
    "shuffled": (BLUE, "o"),
    "first-stage": (ORANGE, "s"),
    "reversed": (RED, "D"),
}
_ACROSS = 3  # panels side by side
_MORE = [(SKY, "^"), (PURPLE, "v"), (BLACK, "P")]


@styled
def order_robustness(
    means: pd.DataFrame,
    *,
    measure: str = "nDCG@10",
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Return one panel a set: methods down, one point an order, with intervals.

    A method without a prompt order (the first stage, an encoder) has one black point. All panels
    share one axis of values, so that sets can be compared.

    Args:
        means: rows in the order to show: set, method, order (``-`` for none), mean, low, high,
            and optionally n, the queries.
        names: printed names of methods, where they differ from the usual ones.
    """
    sets = list(dict.fromkeys(means["set"]))
    methods = list(dict.fromkeys(means["method"]))
    orders = [order for order in dict.fromkeys(means["order"]) if order != "-"]
    more = iter(_MORE * len(orders))
    marks = {order: _ORDERS.get(order) or next(more) for order in orders}
    shifts = dict(zip(orders, 0.22 * (np.arange(len(orders)) - (len(orders) - 1) / 2), strict=True))
    across = min(_ACROSS, len(sets))
    down = -(-len(sets) // across)
    height = 0.3 + down * (0.65 + 0.27 * len(methods))
    figure = new_figure(min(PAGE, 1.3 + 1.95 * across), height)
    shared = {"sharex": True, "sharey": True, "squeeze": False}
    panels = figure.subplots(down, across, **shared).flat
    for axes, name in itertools.zip_longest(panels, sets):
        if name is None:
            axes.remove()
            continue
        part = means[means["set"] == name]
        for order in [*orders, "-"]:
            points = part[part["order"] == order]
            if points.empty:
                continue
            colour, marker = marks.get(order, (BLACK, "|"))
            places = [methods.index(m) + shifts.get(order, 0) for m in points["method"]]
            axes.errorbar(
                points["mean"],
                places,
                xerr=[points["mean"] - points["low"], points["high"] - points["mean"]],
                fmt=marker,
                color=colour,
                elinewidth=0.9,
                markersize=3.6 if order != "-" else 7,
                label=order if order != "-" else "no prompt order",
            )
        axes.set_title(f"{name} ({counted(part['n'], '').strip()})" if "n" in part else name)
        axes.set_xlabel(measure)
        axes.tick_params(axis="x", labelbottom=True)
        for row in range(1, len(methods), 2):
            axes.axhspan(row - 0.5, row + 0.5, color="#f6f6f6", linewidth=0, zorder=0)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    first = figure.axes[0]
    first.set_yticks(range(len(methods)), [label(method, names) for method in methods])
    first.set_ylim(len(methods) - 0.5, -0.5)
    handles, texts = first.get_legend_handles_labels()
    columns = len(texts) if across > 1 else 2
    figure.legend(handles, texts, loc="outside lower center", ncols=columns)
    return figure


def draw_order_robustness(
    per_query: str, *, model: str, layout: Mapping, measure: str, confidence: float, seed: int
) -> Figure:
    """Return the figure of one model's methods and of those without a model."""
    table = pd.read_parquet(per_query)
    table = table[table["model"].isin([model, "-"])]
    free = table["order"] == "-"
    parts = [(table[~free], layout["orders"]), (table[free], ["-"])]
    means = pd.concat(
        cell_means(part, measure, orders, confidence, seed) for part, orders in parts if len(part)
    )
    # The figure shows rows in their order: sets and methods as the config declares them.
    place = [
        (layout["sets"].index(one), layout["methods"].index(method))
        for one, method in means[["set", "method"]].values
    ]
    means = means.assign(place=place).sort_values("place", kind="stable")
    means["set"] = [layout["names"].get(one, one) for one in means["set"]]
    figure = order_robustness(means, measure=measure, names=layout["names"])
    return subject(figure, layout["names"].get(model, model), f"{confidence:.0%} intervals")
