"""What each setting is worth: difference to the default."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from headrank.report.figures.style import (
    BLACK,
    BLUE,
    COLUMN,
    GREY,
    RED,
    counted,
    group_rows,
    name_rows,
    new_figure,
    styled,
    subject,
)


@styled
def ablation(differences: pd.DataFrame, *, measure: str = "nDCG@10", alpha: float = 0.05) -> Figure:
    """Return a forest plot: settings down, grouped by factor, difference to the default along.

    Filled points differ from the default at ``alpha`` after Holm's correction.

    Args:
        differences: of :func:`headrank.evaluation.comparisons.differences`.
    """
    parts = [part for _, part in differences.groupby("factor", sort=False)]
    ordered = pd.concat(parts)
    places, heads, end = group_rows(ordered["factor"])
    figure = new_figure(COLUMN, 0.55 + 0.155 * end)
    axes = figure.subplots()
    axes.axvline(0, color=GREY, linewidth=0.8)
    for spot, row in zip(places, ordered.itertuples(), strict=True):
        if row.default:
            axes.plot(0, spot, marker="|", color=BLACK, markersize=7)
            continue
        clear = row.p_holm < alpha
        colour = BLACK if not clear else (BLUE if row.difference > 0 else RED)
        axes.errorbar(
            row.difference,
            spot,
            xerr=[[row.difference - row.low], [row.high - row.difference]],
            fmt="o",
            color=colour,
            markerfacecolor=colour if clear else "white",
            elinewidth=1,
        )
    names = [f"{row.setting}{' (default)' * row.default}" for row in ordered.itertuples()]
    name_rows(axes, places, names, heads, end)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_xlabel(f"Difference in {measure} to the default")
    return figure


def draw_ablations(
    differences: str,
    *,
    measure: str,
    alpha: float,
    model: str,
    name: str,
    names: Mapping[str, str],
) -> Figure:
    """Return the figure of a file of differences; see ``ablation``.

    Args:
        name: set of the values.
        names: printed names of models and sets.
    """
    table = pd.read_csv(differences)
    return subject(
        ablation(table, measure=measure, alpha=alpha),
        names.get(model, model),
        names.get(name, name),
        counted(table["n"]),
    )
