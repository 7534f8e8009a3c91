"""The look of every figure, and files with the same bytes each time."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from headrank.io.files import atomic
from headrank.report.names import STORED, label

COLUMN, PAGE = 3.35, 7.0
"""Widths in inches: one column and both columns of a two-column paper."""

DPI = 200

STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so every machine has it
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "text.parse_math": False,  # names with a dollar print as they are
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "pdf.fonttype": 42,  # TrueType: text stays text, as publishers ask
    "pdf.compression": 6,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}

# Okabe and Ito's colours: told apart with any common colour blindness. Their yellow is too
# light for a line on white.
BLACK, GREY, LIGHT = "#222222", "#7a7a7a", "#b5b5b5"
ORANGE, SKY, GREEN = "#e69f00", "#56b4e9", "#009e73"
BLUE, RED, PURPLE = "#0072b2", "#d55e00", "#cc79a7"

MIDDLE_ZONE = "#f1eee6"


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one system; all three differ, so one alone may be lost."""

    colour: str
    marker: str | tuple[int, int, float]
    line: str = "-"


LOOKS = {
    "headrank": Look(RED, "o"),
    "headrank-untuned": Look(ORANGE, "s", (0, (5, 1.5))),
    "icr": Look(SKY, "^"),
    "qrhead": Look(BLUE, "v", (0, (3, 1))),
    "core": Look(GREEN, "D", (0, (4, 1, 1, 1))),
    "minilm": Look(PURPLE, "P", (0, (1, 1))),
    "bm25": Look(BLACK, "X", (0, (4, 2))),
    "all-raw": Look(GREY, "h", (0, (2, 2))),
    "random": Look(LIGHT, "*", (0, (1, 2))),
}
# None has both the colour and the marker of a known one. The last is a star of four points.
_SPARE = [
    Look(colour, marker)
    for marker, colour in zip(
        [*"<>pdH", (4, 1, 0)], (BLUE, GREEN, PURPLE, ORANGE, SKY, RED), strict=True
    )
]


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return a look for each system, the same in every figure for the known ones.

    A fusion ``a+b`` takes the look of ``a``, and so does ``a`` behind stored documents; unknown
    names take spare looks in turn.
    """
    names = list(names)
    plain = {name: name.split("+")[0].removesuffix(STORED) for name in names}
    spare = itertools.cycle(_SPARE)
    taken = {name: LOOKS.get(name) or next(spare) for name in dict.fromkeys(plain.values())}
    return {name: taken[plain[name]] for name in names}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Return the drawing function made independent of the user's matplotlib settings."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs) -> Figure:
        with matplotlib.style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure (inches) on the Agg canvas; no window, no global state."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, stem: str | os.PathLike) -> list[Path]:
    """Write ``STEM.pdf`` and ``STEM.png``, whole or not at all; return the paths.

    Neither file holds a date or a version, so the same figure gives the same bytes.
    """
    stem = Path(stem)
    without = {
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
    }
    paths = []
    with matplotlib.style.context(["default", STYLE]):
        for kind, metadata in without.items():
            path = stem.with_name(f"{stem.name}.{kind}")
            with atomic(path) as temporary:
                figure.savefig(temporary, format=kind, metadata=metadata)
            paths.append(path)
    return paths


def subject(figure: Figure, *parts: str) -> Figure:
    """Write above a figure what it is of: model, set, number of queries. Empty parts are left out.

    A figure that is copied out of its report still says so.
    """
    told = " · ".join(part for part in parts if part)
    if told:
        figure.suptitle(told, x=0.01, ha="left", fontsize=6.5, color=GREY)
    return figure


def sized(names: Collection[str], height: float) -> tuple[Figure, dict[str, Any]]:
    """Return a figure of one panel and how its legend of these names is placed.

    A few short names stand below a column; many or long ones beside the axes, on a page.
    """
    longest = max(map(len, names))
    if len(names) <= 6 and longest <= 24:
        below = {"loc": "outside lower center", "ncols": 3 if longest <= 17 else 2}
        return new_figure(COLUMN, height), below | {"columnspacing": 1}
    figure = new_figure(PAGE, max(height, 0.5 + 0.15 * (len(names) + 1)))
    return figure, {"loc": "outside right upper"}


def counted(numbers: Iterable[float], unit: str = "queries") -> str:
    """Return ``n = 50 queries``, or the range where the numbers differ; empty without any."""
    known = sorted({int(number) for number in numbers})
    if not known:
        return ""
    return f"n = {known[0]}" + (f"–{known[-1]}" if len(known) > 1 else "") + f" {unit}"


def panel_letter(axes: Axes, letter: str) -> None:
    """Write a panel's letter above its upper left corner."""
    axes.set_title(f"({letter})", loc="left", fontweight="bold")


def group_rows(groups: Iterable[str]) -> tuple[list[float], dict[float, str], float]:
    """Return places down an axis for rows in groups, each group below a heading.

    Returns the rows' places, ``{place: heading}`` (none for an empty name) and the end of
    the axis. Rows of one group follow one another.
    """
    places: list[float] = []
    heads: dict[float, str] = {}
    place = 0.0
    for name, members in itertools.groupby(groups):
        if name:
            heads[place] = name
            place += 1
        count = len(list(members))
        places += [place + row for row in range(count)]
        place += count + 0.4
    return places, heads, place - 0.4


def name_rows(
    axes: Axes,
    places: Sequence[float],
    names: Sequence[str],
    heads: Mapping[float, str],
    end: float,
) -> None:
    """Name the rows of ``group_rows`` on the y axis, headings in bold; the first row is on top."""
    axes.set_yticks([*places, *heads], [*names, *heads.values()])
    for tick in axes.get_yticklabels()[len(places) :]:
        tick.set_fontweight("bold")
    axes.set_ylim(end - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def reference_lines(
    axes: Axes, values: Mapping[str, float], names: Mapping[str, str] | None = None
) -> None:
    """Draw a horizontal line for each system that does not vary along x, named at its right.

    Names that would lie over one another are pushed apart. Call it when the limits of the
    axes are final.
    """
    low, high = axes.get_ylim()
    height = axes.figure.get_figheight() * 72 * axes.get_position().height
    step = (high - low) * 1.25 * STYLE["legend.fontsize"] / height
    places = apart(list(values.values()), step)
    for (name, value), look, place in zip(
        values.items(), looks(values).values(), places, strict=True
    ):
        axes.axhline(value, color=look.colour, linestyle=look.line, linewidth=1, zorder=1.5)
        axes.annotate(
            label(name, names),
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color=look.colour,
            fontsize=STYLE["legend.fontsize"],
            annotation_clip=False,
        )


def apart(values: Sequence[float], step: float) -> list[float]:
    """Return the values moved as little as needed to lie ``step`` apart, in the same order.

    Neighbours that are too close form a cluster, spread evenly about its mean.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    clusters: list[list[int]] = []
    for i in order:
        clusters.append([i])
        while len(clusters) > 1 and _overlap(clusters[-2], clusters[-1], values, step):
            last = clusters.pop()
            clusters[-1] += last
    places = [0.0] * len(values)
    for cluster in clusters:
        for i, place in zip(cluster, _spread(cluster, values, step), strict=True):
            places[i] = place
    return places


def _spread(cluster: Sequence[int], values: Sequence[float], step: float) -> list[float]:
    centre = sum(values[i] for i in cluster) / len(cluster)
    return [centre + (n - (len(cluster) - 1) / 2) * step for n in range(len(cluster))]


def _overlap(
    below: Sequence[int], above: Sequence[int], values: Sequence[float], step: float
) -> bool:
    return _spread(above, values, step)[0] - _spread(below, values, step)[-1] < step
