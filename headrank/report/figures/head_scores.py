"""Where the selected heads lie, and whether they read relevance or recency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from headrank.data.heads import HeadSet
from headrank.evaluation.head_controls import LAYER_0, RANDOM, SELECTED
from headrank.heads.profile import Profile
from headrank.options.selection import SelectionOptions
from headrank.report.figures.style import (
    BLACK,
    GREY,
    LIGHT,
    PAGE,
    RED,
    counted,
    new_figure,
    panel_letter,
    styled,
    subject,
)
from headrank.report.subject import Subject

_NO_SCORE = "#e2e2e2"

_CONTROLS = {
    SELECTED: (RED, "o"),
    LAYER_0: (GREY, "s"),
    RANDOM: (LIGHT, "*"),
}


@styled
def head_scores(
    scores: np.ndarray,
    selected: HeadSet,
    controls: pd.DataFrame,
    *,
    measure: str = "nDCG@10",
    first_stage: float | None = None,
) -> Figure:
    """Return the heatmap of selection scores beside the controls by prompt order.

    Args:
        scores: ``[layers, heads]``; layers that were not allowed, and heads whose sliding
            window misses a document, are -inf or NaN and drawn grey, which the legend says.
        selected: outlined in the heatmap.
        controls: of :func:`headrank.evaluation.head_controls.head_controls`.
        first_stage: the first stage's value, drawn as a line.
    """
    figure = new_figure(PAGE, 2.4)
    left, right = figure.subplots(1, 2, width_ratios=(2.3, 1))
    panel_letter(left, "a")
    panel_letter(right, "b")
    _heatmap(left, scores, selected)
    orders = list(dict.fromkeys(controls["order"]))
    for shift, (name, part) in enumerate(controls.groupby("system", sort=False)):
        colour, marker = _CONTROLS.get(name, (BLACK, "D"))
        places = [orders.index(order) + 0.22 * (shift - 1) for order in part["order"]]
        bars = [part["mean"] - part["low"], part["high"] - part["mean"]]
        right.errorbar(
            places, part["mean"], bars, fmt=marker, color=colour, elinewidth=1, label=name
        )
    if first_stage is not None:
        right.axhline(first_stage, color=BLACK, linestyle=(0, (4, 2)), lw=1, label="First stage")
    right.set_xticks(range(len(orders)), orders)
    right.set_xlim(-0.5, len(orders) - 0.5)
    right.grid(axis="x", visible=False)
    right.set_ylim(0, None)
    right.set_xlabel("Prompt order")
    right.set_ylabel(measure)
    handles, texts = [], []
    for axes in (left, right):
        own = axes.get_legend_handles_labels()
        handles, texts = handles + own[0], texts + own[1]
    if not np.isfinite(scores).all():
        handles.append(Patch(facecolor=_NO_SCORE))
        texts.append("No candidate: layer not allowed, or window too short")
    figure.legend(handles, texts, loc="outside lower center", ncols=3)
    return figure


def _heatmap(axes, scores: np.ndarray, selected: HeadSet) -> None:
    """Draw heads up, layers along; a model has more layers than heads."""
    shown = np.where(np.isfinite(scores), scores, np.nan)
    colours = matplotlib.colormaps["cividis"].with_extremes(bad=_NO_SCORE)
    image = axes.imshow(
        shown.T, aspect="auto", origin="lower", cmap=colours, interpolation="nearest"
    )
    for number, (layer, head) in enumerate(selected.pairs):
        axes.add_patch(
            Rectangle(
                (layer - 0.5, head - 0.5),
                1,
                1,
                fill=False,
                edgecolor=RED,
                linewidth=1.4,
                label="Selected head" if number == 0 else None,
            )
        )
    axes.grid(visible=False)
    axes.spines[["top", "right"]].set_visible(True)
    layers, heads = scores.shape
    axes.set_xticks(range(0, layers, 5 if layers > 12 else 1))
    axes.set_yticks(range(0, heads, 1 if heads <= 12 else 4))
    axes.set_xlabel("Layer")
    axes.set_ylabel("Head")
    bar = axes.figure.colorbar(image, ax=axes, pad=0.015, fraction=0.05)
    bar.set_label("Selection score")
    bar.outline.set_linewidth(0.6)


def draw_head_scores(
    profile: str,
    heads: Sequence[str],
    controls: str,
    per_query: str,
    *,
    selection: Mapping,
    first_stage: Sequence[str],
    of: Mapping,
) -> Figure:
    """Return the figure of a profile's files.

    Args:
        of: fields of a ``Subject``, whose set is that of the controls.
    """
    about = Subject(**of)
    own = about.rows(pd.read_parquet(per_query))
    known = own[own["method"].isin(first_stage)]["value"]
    shown = pd.read_csv(controls)
    figure = head_scores(
        Profile.load(profile).scores(SelectionOptions(**selection)),
        HeadSet.load(heads[0]),
        shown,
        measure=about.measure,
        first_stage=float(known.mean()) if len(known) else None,
    )
    told = f"(b): {about.set_name}, {counted(shown['n'])}"
    return subject(figure, about.model_name, told)
