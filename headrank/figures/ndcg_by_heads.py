"""Effectiveness against the number of heads."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from headrank.figures.style import COLUMN, looks, new_figure, reference_lines, styled
from headrank.labels import label


@styled
def ndcg_by_heads(
    curves: pd.DataFrame,
    references: Mapping[str, float],
    *,
    measure: str = "nDCG@10",
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Return one curve a selection over K, the number of heads, with intervals as bands.

    Args:
        curves: of :func:`headrank.headstudy.ndcg_by_heads`.
        references: ``{method: value}`` drawn as lines, e.g. BM25.
        names: printed names of methods, where they differ from the usual ones.
    """
    figure = new_figure(COLUMN, 2.5)
    axes = figure.subplots()
    styles = looks(curves["selection"])
    for name, look in styles.items():
        part = curves[curves["selection"] == name].sort_values("heads")
        axes.fill_between(
            part["heads"], part["low"], part["high"], color=look.colour, alpha=0.1, linewidth=0
        )
        axes.plot(
            part["heads"],
            part["mean"],
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            label=label(name, names),
        )
    counts = sorted(curves["heads"].unique())
    axes.set_xscale("log", base=2)
    most = max(counts)
    axes.set_xticks(
        counts, [f"all\n({count})" if count == most else str(count) for count in counts]
    )
    axes.minorticks_off()
    axes.set_xlabel("Number of heads K")
    axes.set_ylabel(measure)
    top = max(curves["high"].max(), *references.values(), 0)
    axes.set_ylim(0, 1.05 * top)
    reference_lines(axes, references, names)
    figure.legend(loc="outside upper center", ncols=min(3, len(styles)), columnspacing=1)
    return figure
