"""How the alignment of one model went: loss and held-out effectiveness over steps."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from headrank.errors import HeadRankError
from headrank.report.figures.style import (
    BLACK,
    PAGE,
    counted,
    looks,
    new_figure,
    panel_letter,
    styled,
    subject,
)

_SMOOTH = 20  # steps in the moving average


@styled
def training(steps: pd.DataFrame, validation: pd.DataFrame, *, measure: str = "ndcg@10") -> Figure:
    """Return the loss by step, each seed with its moving average, and the validation.

    A circle marks the epoch whose adapter is kept.

    Args:
        steps: rows of ``training.csv`` with a column ``seed``: step, epoch, loss.
        validation: rows of ``validation.csv`` with a column ``seed``: epoch and the measure;
            epoch 0 is the unaligned model. Columns ``step`` and ``queries``, how many it was
            measured on, are used if they are there.

    Raises:
        HeadRankError: no step was logged.
    """
    if steps.empty:
        raise HeadRankError("the training log is empty; train at least one step")
    figure = new_figure(PAGE * 0.8, 2.2)
    left, right = figure.subplots(1, 2)
    panel_letter(left, "a")
    panel_letter(right, "b")
    seeds = list(dict.fromkeys(steps["seed"]))
    colours = looks(f"seed {seed}" for seed in seeds)
    width = min(_SMOOTH, max(1, steps["step"].nunique() // 5))
    for seed, look in zip(seeds, colours.values(), strict=True):
        part = steps[steps["seed"] == seed].sort_values("step")
        smooth = part["loss"].rolling(width, min_periods=1, center=True).mean()
        left.plot(part["step"], part["loss"], color=look.colour, alpha=0.18, linewidth=0.6)
        left.plot(part["step"], smooth, color=look.colour, label=f"seed {seed}")
    left.set_xlabel("Step")
    left.set_ylabel(f"Loss (mean of {width} steps)" if width > 1 else "Loss")
    left.set_ylim(0, None)
    ends = steps.groupby("epoch")["step"].max()
    held = validation.assign(
        step=validation["step"]
        if "step" in validation.columns
        else validation["epoch"].map(ends).fillna(0)
    )
    for seed, look in zip(seeds, colours.values(), strict=True):
        part = held[held["seed"] == seed].sort_values("step")
        right.plot(
            part["step"],
            part[measure],
            color=look.colour,
            marker=look.marker,
            linewidth=0.9,
            label=f"seed {seed}",
        )
        best = part.loc[part[measure].idxmax()]
        right.plot(
            best["step"], best[measure], "o", color=BLACK, fillstyle="none", markersize=8, zorder=3
        )
    start = held.loc[held["step"] == 0, measure]
    if len(start):
        right.axhline(start.mean(), color=BLACK, linestyle=(0, (4, 2)), linewidth=0.9)
        right.annotate(
            "unaligned",
            (1, start.mean()),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=7,
        )
    right.set_xlabel("Step")
    told = f"\n({counted(held['queries'])})" if "queries" in held else ""
    right.set_ylabel(f"Validation {measure.replace('ndcg', 'nDCG')}{told}")
    handles, names = right.get_legend_handles_labels()
    if len(seeds) > 1:
        figure.legend(handles, names, loc="outside lower center", ncols=len(seeds))
    return figure


def draw_training(
    steps: Sequence[str],
    validation: Sequence[str],
    *,
    seeds: Sequence[int],
    model: str,
    recipe: str,
) -> Figure:
    """Return the figure of a recipe's training tables, one file a seed."""
    tables = [
        pd.concat(
            pd.read_csv(path).assign(seed=seed) for path, seed in zip(paths, seeds, strict=True)
        )
        for paths in (steps, validation)
    ]
    return subject(training(*tables), model, f"trained as {recipe}")
