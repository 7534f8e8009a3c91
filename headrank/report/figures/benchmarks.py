"""The code's own benchmarks: cost against a bare prefill, and growth with the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from headrank.report.figures.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PAGE,
    RED,
    counted,
    new_figure,
    styled,
    subject,
)
from headrank.report.tables.cost import load_benchmarks

_LOOKS = {"float32": (BLUE, "o"), "bfloat16": (ORANGE, "s")}


@styled
def benchmarks(results: Mapping[str, pd.DataFrame]) -> Figure:
    """Return two panels: ratios with their targets, and seconds by tokens.

    Args:
        results: as ``headrank.report.tables.cost.load_benchmarks`` returns them; ``reading`` and
            ``growth`` are drawn.
    """
    figure = new_figure(PAGE, 2.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _ratios(left, results["reading"])
    _growth(right, results["growth"])
    return figure


def _ratios(axes, table: pd.DataFrame) -> None:
    """Draw one point a case and weight type, with the range of the rounds."""
    cases = list(dict.fromkeys(table["case"]))
    types = list(dict.fromkeys(table["dtype"]))
    for place, dtype in enumerate(types):
        part = table[table["dtype"] == dtype]
        colour, marker = _LOOKS.get(dtype, (GREY, "D"))
        shift = 0.24 * (place - (len(types) - 1) / 2)
        axes.errorbar(
            part["ratio"],
            [cases.index(case) + shift for case in part["case"]],
            xerr=[part["ratio"] - part["low"], part["high"] - part["ratio"]],
            fmt=marker,
            color=colour,
            elinewidth=0.9,
            markersize=3.6,
            label=dtype,
        )
    known = table.dropna(subset=["target"]).drop_duplicates("case")
    axes.plot(
        known["target"],
        [cases.index(case) for case in known["case"]],
        linestyle="none",
        marker="|",
        markersize=16,
        markeredgewidth=1.4,
        color=RED,
        label="target",
    )
    axes.axvline(1, color=BLACK, linewidth=0.6)
    axes.set_yticks(range(len(cases)), cases)
    axes.set_ylim(len(cases) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("CPU time, ratio to its reference")
    # Above the axes: every corner may hold a point.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(types) + 1, markerscale=0.7)


def _growth(axes, table: pd.DataFrame) -> None:
    """Draw seconds by tokens, both in logarithms: a straight line is a power."""
    for key, text, colour, marker in (
        ("bare_seconds", "bare prefill, full depth", GREY, "X"),
        ("seconds", "8 heads", RED, "o"),
    ):
        axes.plot(table["tokens"], table[key], color=colour, marker=marker, label=text)
    for row in table.to_dict("records"):
        axes.annotate(
            f"{row['documents']:g}",
            (row["tokens"], row["seconds"]),
            xytext=(3, -7),
            textcoords="offset points",
            fontsize=6,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("tokens (labels: documents)")
    axes.set_ylabel("CPU seconds")
    axes.legend(loc="upper left", fontsize=6)


def draw_benchmarks(parts: Sequence[str], *, model: str, names: Mapping[str, str]) -> Figure:
    """Return the figure of a model's benchmarks of their files.

    Args:
        names: printed names of models.
    """
    results = load_benchmarks(parts)
    reading = results["reading"]
    lists = f"one list of {counted(reading['documents'], 'made documents')[4:]}"
    return subject(
        benchmarks(results),
        names.get(model, model),
        f"left: {lists}, {counted(reading['rounds'], 'rounds')}",
    )
