"""Figures: what each one shows."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from headrank.errors import HeadRankError
from headrank.report import figures
from headrank.report.figures import style
from headrank.report.figures.ablation import draw_ablations
from headrank.report.figures.learning_curve import draw_learning_curve, kind_of
from headrank.report.figures.order_robustness import draw_order_robustness
from headrank.report.figures.quality_latency import draw_quality_latency
from tests.helpers.figures import (
    HEADS,
    METHODS,
    ablation,
    head_scores,
    head_scores_controls,
    homogenisation,
    learning_curve,
    learning_curve_of_many,
    ndcg_by_depth,
    ndcg_by_heads,
    order_robustness,
    quality_latency,
    training,
)


def test_head_scores_outlines_the_selected_heads():
    figure = head_scores()
    left, right = figure.axes[:2]
    corners = [patch.get_xy() for patch in left.patches if isinstance(patch, Rectangle)]
    assert corners == [(8.5, 1.5), (6.5, -0.5)]
    assert left.images[0].get_array().shape == (4, 12)
    assert left.images[0].get_array().mask[:, 0].all()
    assert [text.get_text() for text in right.get_xticklabels()] == ["shuffled", "reversed"]
    assert len(right.containers) == 3


def test_homogenisation_says_what_position_explains():
    figure = homogenisation()
    shares = [text.get_text() for axes in figure.axes for text in axes.texts]
    first, second = (int(text.split("%")[0].split()[-1]) for text in shares)
    assert first > 60 > 20 > second
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "Middle zone" in names
    # 40 queries with a relevant and 19 other documents, in ten parts of the prompt.
    assert re.search(r"^Relevant: n = \d+–\d+ documents a point$", "\n".join(names), re.M)
    assert re.search(r"^Other: n = 7\d–7\d documents a point$", "\n".join(names), re.M)


def test_order_robustness_has_a_point_an_order():
    left, _ = order_robustness().axes
    assert len(left.containers) == 4  # three orders and the methods without one
    assert [len(c.lines[0].get_xdata()) for c in left.containers] == [3, 3, 3, 3]
    names = [text.get_text() for text in left.get_yticklabels()]
    assert names[0] == "BM25" and names[-1] == "HeadRank"
    bottom, top = left.get_ylim()
    assert bottom > top  # the first method is on top


def test_ndcg_by_heads_marks_all_heads():
    (axes,) = ndcg_by_heads().axes
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["1", "2", "4", "8", "16", "32", "64", "all\n(270)"]
    assert "BM25" in [text.get_text() for text in axes.texts]


def test_ndcg_by_heads_leaves_out_a_label_in_the_next_one_s_way():
    counts = [1, 2, 4, 8, 12, 16, 32, 64, 72]  # of Gemma 3 270M, selected among 72 or 12 heads
    points = {"selection": "headrank", "mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    curves = pd.DataFrame([points | {"heads": count} for count in counts])
    (axes,) = figures.ndcg_by_heads(curves, {}).axes
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["1", "2", "4", "8", "12", "16", "32", "", "all\n(72)"]


def test_ndcg_by_depth_marks_each_layer():
    (axes,) = ndcg_by_depth().axes
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == [str(layer) for layer in range(2, 30, 3)]
    curves = [line for line in axes.lines if len(line.get_xdata()) == 10]
    assert len(curves) == 3
    assert "BM25" in [text.get_text() for text in axes.texts]


def test_training_circles_the_kept_epoch_of_each_seed():
    right = training().axes[1]
    rings = [line for line in right.lines if line.get_fillstyle() == "none"]
    assert [line.get_xdata()[0] for line in rings] == [80, 80, 80]
    with pytest.raises(HeadRankError, match="training log is empty"):
        figures.training(pd.DataFrame(columns=["seed", "step"]), pd.DataFrame())


def test_learning_curve_draws_the_mean_and_each_seed():
    (axes,) = learning_curve().axes
    mean, seeds = axes.lines[:2]
    assert mean.get_ydata()[0] == pytest.approx(0.4 + 0.08 * np.log10(25))
    assert len(seeds.get_xdata()) == 21
    assert {"BM25", "MiniLM-L6", "HeadRank, untuned"} == {text.get_text() for text in axes.texts}


def test_adapters_of_other_layouts_and_scales_are_curves_of_their_own():
    """Their values stood as seeds of one another once, and were averaged."""
    (axes,) = learning_curve_of_many().axes
    lines = axes.lines[:6:2]
    assert [line.get_label().removesuffix(", mean of seeds") for line in lines] == [
        *("HeadRank", "HeadRank, block", "HeadRank, block, max-logit")
    ]
    means = [line.get_ydata()[0] for line in lines]
    assert means == pytest.approx([0.04, 1.04, 2.04])  # 25 queries: a thousandth each, and seeds
    cards = [
        {"prompt": prompt, "options": options}
        for prompt in ({}, {"layout": "block"})
        for options in ({"scale": "log"}, {"scale": "max-logit"}, {"both_layouts": True})
    ]
    assert (
        len({kind_of(card) for card in cards}) == 5
    )  # one for both layouts is one, told by either


def test_middle_zone_groups_systems_by_set():
    rows = pd.DataFrame(
        {
            "set": ["a"] * 3 + ["b"] * 3,
            "system": "icr",
            "kind": ["relevant", "other", "gap"] * 2,
            "rate": 0.5,
            "low": 0.4,
            "high": 0.6,
        }
    )
    left = figures.middle_zone(rows).axes[0]
    ticks = zip(left.get_yticks(), left.get_yticklabels(), strict=True)
    names = [text.get_text() for _, text in sorted(ticks, key=lambda pair: pair[0])]
    assert names == ["a", "ICR", "b", "ICR"]


def test_ablation_fills_what_is_significant():
    (axes,) = ablation().axes
    faces = [container.lines[0].get_markerfacecolor() for container in axes.containers]
    assert faces == [style.RED, "white", style.BLUE]
    bold = [t.get_text() for t in axes.get_yticklabels() if t.get_fontweight() == "bold"]
    assert bold == ["Heads K", "Regulariser"]


def test_quality_latency_draws_the_front():
    figure = quality_latency()
    (axes,) = figure.axes
    front = axes.lines[0]
    assert list(front.get_xdata()) == [0.0004, 0.35]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert len(names) == len(METHODS) + 1 and "Best at this cost or less" in names


def test_quality_latency_sets_points_apart_that_would_cover_one_another():
    """The numbers stay; in print alone the first stage and a random order stand side by side."""
    points = pd.DataFrame(
        {"method": METHODS[:3], "seconds": [0.0004, 0.9, 0.0004], "value": [0.5, 0.6, 0.51]}
    )
    bounds = {"low": points["value"] - 0.04, "high": points["value"] + 0.04}
    figure = figures.quality_latency(points.assign(lists=3, **bounds))
    (axes,) = figure.axes
    figure.draw_without_rendering()
    lines = [container.lines[0] for container in axes.containers]
    assert [list(line.get_xdata()) for line in lines] == [[0.0004], [0.9], [0.0004]]
    places = [line.get_transform().transform(line.get_xydata())[0] for line in lines]
    apart = (places[2][0] - places[0][0]) * 72 / figure.dpi
    assert apart == pytest.approx(7)
    assert places[1][0] == pytest.approx(axes.transData.transform((0.9, 0.6))[0])
    assert axes.get_xlabel() == "CPU seconds a query, mean of 3 lists"
    figure = figures.quality_latency(points.assign(lists=3, gpu=True, **bounds))
    assert figure.axes[0].get_xlabel() == "GPU seconds a query, mean of 3 lists"


@pytest.mark.parametrize("crowded", [False, True])
def test_quality_latency_keeps_the_order_of_costs_and_cuts_nothing_off(crowded):
    """A dozen methods of about one cost, told in another order than that of their costs."""
    costs = [1.04, 1.18, 1.09, 0.89, 0.91, 0.66, 0.79, 0.67, 0.65, 0.64]
    values = [0.59, 0.21, 0.39, 0.48, 0.486, 0.498, 0.495, 0.57, 0.54, 0.57]
    if crowded:
        costs = [1 + (cost - 1) / 20 for cost in costs]
    methods = [f"m{number}" for number in range(len(costs))]
    points = pd.DataFrame(
        {"method": ["bm25", *methods], "seconds": [0.02, *costs], "value": [0.52, *values]}
    )
    figure = figures.quality_latency(
        points.assign(low=points["value"] - 0.1, high=points["value"] + 0.1)
    )
    (axes,) = figure.axes
    figure.draw_without_rendering()
    lines = [container.lines[0] for container in axes.containers]
    across = [line.get_transform().transform(line.get_xydata())[0, 0] for line in lines]
    drawn = [place for _, place in sorted(zip(points["seconds"], across, strict=True))]
    assert drawn == sorted(drawn)
    assert axes.bbox.x0 < min(across) and max(across) < axes.bbox.x1
    own = axes.transData.transform(points[["seconds", "value"]].to_numpy())[:, 0]
    # A marker's width at most: else its cost would be misread.
    furthest = abs(own - across).max() * 72 / figure.dpi
    assert furthest == pytest.approx(5) if crowded else 1 < furthest < 5
    assert across[0] == pytest.approx(own[0])


def test_figures_of_files_say_what_they_are_of(tmp_path):
    """Model, set and n stand in the figure, with the names that the config gives."""
    rows = [
        {"set": name, "model": "m", "adapter": "none", "order": "shuffled", "method": "icr"}
        | {"query": f"q{n}", "measure": "nDCG@10", "value": n / 10}
        for name, count in (("lee", 5), ("tags", 7))
        for n in range(count)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "per_query.parquet")
    costs = {"method": ["icr"], "seconds": [0.5], "value": [0.2], "lists": [1]}
    pd.DataFrame(costs).to_csv(tmp_path / "points.csv")
    names = {"m": "Model M", "lee": "Lee"}
    figure = draw_quality_latency(
        str(tmp_path / "points.csv"),
        str(tmp_path / "per_query.parquet"),
        measure="nDCG@10",
        model="m",
        name="lee",
        names=names,
    )
    assert figure.get_suptitle() == "Model M · Lee · n = 5 queries"
    layout = {"sets": ["lee", "tags"], "methods": ["icr"], "orders": ["shuffled"], "names": names}
    figure = draw_order_robustness(
        str(tmp_path / "per_query.parquet"),
        model="m",
        layout=layout,
        measure="nDCG@10",
        confidence=0.95,
        seed=0,
    )
    assert figure.get_suptitle() == "Model M · 95% intervals"
    assert [axes.get_title() for axes in figure.axes] == ["Lee (n = 5)", "tags (n = 7)"]
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


def test_curves_and_ablations_say_what_they_are_of(tmp_path):
    names = {"m": "Model M", "lee": "Lee"}
    rows, cards = [], []
    for queries in (25, 50):
        card = tmp_path / f"a{queries}" / "headrank.json"
        card.parent.mkdir()
        card.write_text(
            json.dumps({"prompt": {}, "options": {}, "training_queries": queries, "seed": 1})
        )
        cards.append(str(card))
        for n in range(6):
            row = ("lee", "m", card.parent.name, "shuffled", "headrank", f"q{n}", "nDCG@10", n / 9)
            rows.append(row)
    columns = ["set", "model", "adapter", "order", "method", "query", "measure", "value"]
    pd.DataFrame(rows, columns=columns).to_parquet(tmp_path / "per_run.parquet")
    figure = draw_learning_curve(
        str(tmp_path / "per_run.parquet"),
        cards,
        methods=["headrank", "headrank"],
        ways=["", ""],
        references=[],
        of={"model": "m", "name": "lee", "measure": "nDCG@10", "order": "shuffled", "names": names},
    )
    assert figure.get_suptitle() == "Model M · Lee · shuffled · n = 6 queries"
    # Methods that read the same adapters otherwise are a curve of their own, whatever their names.
    other = [(*row[:4], "cut", *row[5:-1], row[-1] / 2) for row in rows]
    pd.DataFrame(rows + other, columns=columns).to_parquet(tmp_path / "per_run.parquet")
    figure = draw_learning_curve(
        str(tmp_path / "per_run.parquet"),
        cards * 2,
        methods=["headrank", "headrank", "cut", "cut"],
        ways=["layout joint"] * 2 + ["layout block"] * 2,
        references=[],
        of={"model": "m", "name": "lee", "measure": "nDCG@10", "order": "shuffled", "names": names},
    )
    assert figure.get_suptitle() == "Model M · Lee · shuffled · n = 6 queries"
    curves = {
        line.get_label().removesuffix(", mean of seeds"): line.get_ydata()
        for line in figure.axes[0].lines
        if "HeadRank" in str(line.get_label())
    }
    joint, block = "HeadRank, layout joint", "HeadRank, layout block"
    assert curves.keys() == {joint, block} and len(curves[joint]) == 2
    assert curves[joint] == pytest.approx(2 * curves[block])
    # One adapter alone that is read otherwise takes no point from the curve of the others.
    figure = draw_learning_curve(
        str(tmp_path / "per_run.parquet"),
        [*cards, cards[-1]],
        methods=["headrank", "headrank", "cut"],
        ways=["layout joint", "layout joint", "layout block"],
        references=[],
        of={"model": "m", "name": "lee", "measure": "nDCG@10", "order": "shuffled", "names": names},
    )
    drawn = [line for line in figure.axes[0].lines if "HeadRank" in str(line.get_label())]
    assert [len(line.get_xdata()) for line in drawn] == [2, 1]
    differences = {
        "factor": "Heads K",
        "setting": ["8", "4"],
        "default": [True, False],
        "n": 7,
        "difference": [0.0, 0.1],
        "low": [0.0, 0.0],
        "high": [0.0, 0.2],
        "p_holm": [1.0, 0.2],
    }
    pd.DataFrame(differences).to_csv(tmp_path / "m.csv")
    figure = draw_ablations(
        str(tmp_path / "m.csv"), measure="nDCG@10", alpha=0.05, model="m", name="lee", names=names
    )
    assert figure.get_suptitle() == "Model M · Lee · n = 7 queries"


def test_training_and_middle_zone_say_on_how_much_they_rest():
    steps = pd.DataFrame({"seed": 1, "step": [1, 2], "epoch": [1, 1], "loss": [0.5, 0.4]})
    held = pd.DataFrame({"seed": 1, "epoch": [0, 1], "ndcg@10": [0.4, 0.5], "queries": 40})
    assert "(n = 40 queries)" in figures.training(steps, held).axes[1].get_ylabel()
    kinds = ["relevant", "other", "gap"]
    rates = pd.DataFrame({"system": "icr", "kind": kinds, "rate": 0.5, "low": 0.4, "high": 0.6})
    (legend,) = figures.middle_zone(rates.assign(documents=[61, 412, 473])).legends
    names = {text.get_text() for text in legend.get_texts()}
    assert {"Relevant (n = 61 documents)", "Other (n = 412 documents)"} <= names


def test_head_scores_explain_their_grey():
    (legend,) = head_scores().legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names[-1] == "No candidate: layer not allowed, or window too short"
    controls = head_scores_controls()
    (legend,) = figures.head_scores(np.full((12, 4), 0.5), HEADS, controls).legends
    assert not any("No candidate" in text.get_text() for text in legend.get_texts())


def test_no_two_systems_look_alike():
    looks = style.looks(dict.fromkeys([*METHODS, *(f"own-{n}" for n in range(6))]))
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(looks)
    # What is made of a method has its look.
    made = style.looks(["own-1", "own+bm25", "own-1.stored", "headrank", "headrank+bm25"])
    assert made["own-1"] == made["own-1.stored"] != made["own+bm25"]
    assert made["headrank"] == made["headrank+bm25"] == style.LOOKS["headrank"]


def test_quality_latency_is_linear_unless_models_differ_much():
    """A first stage that costs next to nothing does not decide the scale."""
    (far,) = quality_latency().axes
    assert far.get_xscale() == "log"  # 0.35 to 7.3 s
    points = pd.DataFrame(
        {"method": METHODS[:3], "seconds": [0.0004, 0.9, 7.3], "value": [0.5, 0.6, 0.7]}
    )
    (near,) = figures.quality_latency(points).axes
    assert near.get_xscale() == "linear"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.5], [0.1, 0.5]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.3, 0.1, 0.32], [0.26, 0.1, 0.36]),
        ([0.0, 0.05, 0.1], [-0.05, 0.05, 0.15]),
        ([], []),
    ],
)
def test_names_are_pushed_apart(values, expected):
    assert style.apart(values, 0.1) == pytest.approx(expected)


def test_known_methods_look_the_same_everywhere():
    first = style.looks(["icr", "new", "other"])
    assert first["icr"] == style.LOOKS["icr"] == style.looks(["icr+bm25"])["icr+bm25"]
    assert first["new"] != first["other"]
    colours = [look.colour for look in style.LOOKS.values()]
    markers = [look.marker for look in style.LOOKS.values()]
    assert len(set(colours)) == len(colours) and len(set(markers)) == len(markers)
