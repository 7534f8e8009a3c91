"""What more training queries buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from headrank.io.files import read_json
from headrank.report.figures.style import (
    COLUMN,
    LOOKS,
    counted,
    new_figure,
    reference_lines,
    styled,
    subject,
)
from headrank.report.subject import Subject


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
        points: a row a seed: queries, seed, value (mean over evaluation queries).
        references: ``{method: value}`` drawn as lines: untuned heads, BM25, MiniLM.
        names: printed names of methods, where they differ from the usual ones.
    """
    figure = new_figure(COLUMN, 2.4)
    axes = figure.subplots()
    look = LOOKS["headrank"]
    groups = points.groupby("queries")["value"].agg(["mean", "min", "max"]).reset_index()
    axes.fill_between(
        groups["queries"],
        groups["min"],
        groups["max"],
        color=look.colour,
        alpha=0.14,
        linewidth=0,
        label="range",
    )
    axes.plot(groups["queries"], groups["mean"], color=look.colour, label="HeadRank, mean of seeds")
    axes.plot(
        points["queries"],
        points["value"],
        linestyle="none",
        marker="o",
        markersize=3,
        markerfacecolor="white",
        markeredgecolor=look.colour,
        markeredgewidth=0.6,
        label="one seed",
    )
    axes.set_xscale("log")
    sizes = groups["queries"].to_list()
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=40, ha="right")
    axes.minorticks_off()
    axes.set_xlabel("Training queries")
    axes.set_ylabel(measure)
    values = [*points["value"], *references.values()]
    margin = 0.08 * (max(values) - min(values)) or 0.05
    axes.set_ylim(min(values) - margin, max(values) + margin)
    reference_lines(axes, references, names)
    figure.legend(loc="outside lower center", ncols=3, columnspacing=1)
    return figure


def draw_learning_curve(
    per_run: str,
    cards: Sequence[str],
    *,
    references: Sequence[str],
    of: Mapping,
) -> Figure:
    """Return the learning curve of a model: one point an adapter, one line a reference.

    Args:
        cards: cards of the adapters, ``.../ADAPTER/headrank.json``.
        of: fields of a ``Subject``.
    """
    about = Subject(**of)
    table = about.rows(pd.read_parquet(per_run))
    alone = table[~table["method"].str.contains("+", regex=False)]
    points = []
    for path in cards:
        card, adapter = read_json(path), Path(path).parent.name
        values = alone.loc[alone["adapter"] == adapter, "value"]
        points.append(
            {
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
