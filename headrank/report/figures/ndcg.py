"""Effectiveness against the number of heads, and against the layers they may come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headrank.report.figures.style import (
    counted,
    looks,
    reference_lines,
    sized,
    styled,
    subject,
)
from headrank.report.names import label
from headrank.report.subject import Subject

_CLEAR = 1.3  # how many times as many heads the next label must stand for


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
        curves: of :func:`headrank.evaluation.head_controls.ndcg_by_heads`.
        references: ``{method: value}`` drawn as lines, e.g. BM25.
        names: printed names of methods, where they differ from the usual ones.
    """
    counts = sorted(curves["heads"].unique())
    figure, axes = _curves(curves, "heads", references, measure, names)
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, _told(counts))
    axes.minorticks_off()
    axes.set_xlabel("Number of heads K")
    return figure


def _told(counts: Sequence[int]) -> list[str]:
    """Return the labels of ascending numbers of heads; the last are all.

    One that would stand in the next one's way has none.
    """
    labels = [f"all\n({counts[-1]})"]
    following = counts[-1]
    for count in counts[-2::-1]:
        clear = following / count >= _CLEAR
        labels.append(str(count) if clear else "")
        following = count if clear else following
    return labels[::-1]


@styled
def ndcg_by_depth(
    curves: pd.DataFrame,
    references: Mapping[str, float],
    *,
    measure: str = "nDCG@10",
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Return one curve a selection over the deepest allowed layer, with intervals as bands.

    A curve ends where its selection may take heads no deeper, and the axis says so.

    Args:
        curves: of :func:`headrank.evaluation.head_controls.ndcg_by_depth`.
        references, names: as in `ndcg_by_heads`.
    """
    figure, axes = _curves(curves, "deepest", references, measure, names)
    axes.set_xticks(sorted(curves["deepest"].unique()))
    axes.set_xlabel(
        "Deepest layer that heads may come from\n(the last point: as deep as the selection may go)"
    )
    return figure


def _curves(
    curves: pd.DataFrame,
    over: str,
    references: Mapping[str, float],
    measure: str,
    names: Mapping[str, str] | None,
) -> tuple[Figure, Axes]:
    """Return a figure of one curve a selection over a column, and lines for the references."""
    styles = looks(curves["selection"])
    figure, place = sized([label(name, names) for name in styles], 2.5)
    axes = figure.subplots()
    for name, look in styles.items():
        part = curves[curves["selection"] == name].sort_values(over)
        axes.fill_between(
            part[over], part["low"], part["high"], color=look.colour, alpha=0.1, linewidth=0
        )
        axes.plot(
            part[over],
            part["mean"],
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            label=label(name, names),
        )
    axes.set_ylabel(measure)
    top = max(curves["high"].max(), *references.values(), 0)
    axes.set_ylim(0, 1.05 * top)
    reference_lines(axes, references, names)
    figure.legend(**place)
    return figure, axes


def draw_ndcg_by_heads(curves: str, per_query: str, **options: Any) -> Figure:
    """Return the figure of a study's file; see ``ndcg_by_heads``."""
    return _drawn(ndcg_by_heads, curves, per_query, **options)


def draw_ndcg_by_depth(curves: str, per_query: str, **options: Any) -> Figure:
    """Return the figure of a study's file; see ``ndcg_by_depth``."""
    return _drawn(ndcg_by_depth, curves, per_query, **options)


def _drawn(
    figure: Callable[..., Figure],
    curves: str,
    per_query: str,
    *,
    references: Sequence[str],
    of: Mapping,
) -> Figure:
    """Return a figure of curves; methods without heads, ``references``, are lines.

    Args:
        of: fields of a ``Subject``.
    """
    about = Subject(**of)
    table = about.rows(pd.read_parquet(per_query))
    lines = {
        method: float(values.mean())
        for method, values in table.groupby("method", sort=False)["value"]
        if method in references
    }
    points = pd.read_csv(curves)
    return subject(
        figure(points, lines, measure=about.measure, names=about.names),
        about.model_name,
        about.set_name,
        counted(points["n"]),
    )
