"""What holds for every figure: text that fits, and the same bytes each time."""

import functools
import itertools
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib.text import Text

from headrank.report import figures
from headrank.report.figures import style
from tests.helpers.figures import CROWDED, DRAWN, ablation

ROOT = Path(__file__).resolve().parents[3]


@functools.cache
def laid_out(draw):
    """Return a figure whose texts have their places; no test may change it."""
    figure = draw()
    figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("draw", DRAWN)
def test_files_are_the_same_each_time(draw, tmp_path):
    paths = figures.save(draw(), tmp_path / "one")
    assert [path.name for path in paths] == ["one.pdf", "one.png"]
    figures.save(draw(), tmp_path / "two")
    for kind in ("pdf", "png"):
        data = (tmp_path / f"one.{kind}").read_bytes()
        assert data == (tmp_path / f"two.{kind}").read_bytes()
        assert not any(word in data for word in (b"CreationDate", b"Producer", b"Software"))
    if folder := os.environ.get("HEADRANK_FIGURES"):  # to look at them
        figures.save(draw(), Path(folder) / draw.__name__)


@functools.cache
def shown(draw):
    """Return ``[(text, box)]`` of what is read on a figure.

    Ticks outside the limits of their axis keep a label that is never drawn.
    """
    figure = laid_out(draw)
    hidden = set()
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not min(limits) <= tick.get_loc() <= max(limits):
                    hidden |= {tick.label1, tick.label2}
                hidden.add(tick.label2)
    return [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible() and text not in hidden
    ]


@pytest.mark.parametrize("draw", [*DRAWN, *CROWDED])
def test_every_text_lies_within_the_page(draw):
    page = laid_out(draw).bbox.padded(1)
    for text, box in shown(draw):
        assert page.x0 <= box.x0 and box.x1 <= page.x1, text
        assert page.y0 <= box.y0 and box.y1 <= page.y1, text


@pytest.mark.parametrize("draw", [*DRAWN, *CROWDED])
def test_every_panel_names_its_axes_and_fits_the_paper(draw):
    figure = laid_out(draw)
    assert figure.get_figwidth() <= style.PAGE
    for axes in figure.axes:
        rows_are_named = any(text.get_text() for text in axes.get_yticklabels())
        shared = axes.get_shared_y_axes().joined(axes, figure.axes[0])
        below = axes.get_shared_x_axes().joined(axes, figure.axes[-1])
        assert axes.get_xlabel() or axes.get_label() == "<colorbar>" or below
        assert axes.get_ylabel() or rows_are_named or shared


@pytest.mark.parametrize("draw", [*DRAWN, *CROWDED])
def test_names_do_not_cover_one_another(draw):
    """Axis names, ticks, legends and direct labels: no two texts of a panel overlap."""
    boxes = [(text, box.padded(-1)) for text, box in shown(draw)]
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not first.overlaps(second), (one, other)


def test_the_users_settings_change_nothing(tmp_path):
    figures.save(ablation(), tmp_path / "plain")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "pdf.fonttype": 3}):
        figures.save(ablation(), tmp_path / "loud")
    assert (tmp_path / "plain.pdf").read_bytes() == (tmp_path / "loud.pdf").read_bytes()


def test_drawing_needs_neither_torch_nor_pyplot():
    program = (
        "import sys, headrank.report.figures, headrank.report.tables\n"
        "assert not {'torch', 'transformers', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
