"""One drawing of each kind of figure, of made-up results."""

import itertools

import numpy as np
import pandas as pd

from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels
from headrank.evaluation.head_controls import LAYER_0, RANDOM, SELECTED
from headrank.evaluation.homogenisation import Scored, by_position
from headrank.report import figures

HEADS = HeadSet((Head(9, 2), Head(7, 0)))
METHODS = ["bm25", "minilm", "random", "icr", "headrank-untuned", "headrank"]


def interval(frame, half=0.05):
    return frame.assign(low=frame["mean"] - half, high=frame["mean"] + half)


def head_scores():
    scores = np.random.default_rng(0).normal(0.5, 0.03, (12, 4))
    scores[0] = -np.inf  # a layer that was not allowed
    return figures.head_scores(scores, HEADS, head_scores_controls(), first_stage=0.55)


def head_scores_controls():
    values = {SELECTED: (0.59, 0.62), LAYER_0: (0.23, 0.43), RANDOM: (0.21, 0.21)}
    return interval(
        pd.DataFrame(
            [
                {"order": order, "system": name, "mean": pair[number]}
                for name, pair in values.items()
                for number, order in enumerate(("shuffled", "reversed"))
            ]
        )
    )


def positions(pull, seed=0):
    generator = np.random.default_rng(seed)
    names = tuple(f"d{i}" for i in range(20))
    qrels = Qrels({f"q{i}": {f"d{generator.integers(20)}": 1} for i in range(40)})
    curve = pull * np.linspace(-1, 1, 20) ** 2
    lists = []
    for query, grades in qrels.grades.items():
        gain = np.array([grades.get(name, 0) for name in names])
        lists.append(Scored(query, names, curve + 2 * gain + generator.normal(0, 0.7, 20)))
    return by_position(lists, qrels, 10)


def homogenisation():
    return figures.homogenisation({"All heads": positions(4), "Selected heads": positions(0.3)})


def order_robustness():
    rows = []
    for number, (name, method) in enumerate(itertools.product(("one", "two"), METHODS)):
        orders = ["-"] if method in METHODS[:3] else ["shuffled", "first-stage", "reversed"]
        for place, order in enumerate(orders):
            mean = 0.3 + 0.02 * number + 0.05 * place
            rows.append({"set": name, "method": method, "order": order, "mean": mean})
    return figures.order_robustness(interval(pd.DataFrame(rows)))


def ndcg_by_heads():
    rows = [
        {"selection": name, "heads": count, "mean": top - 0.04 * abs(np.log2(count) - 2)}
        for name, top in (("headrank-untuned", 0.59), ("core", 0.57), ("qrhead", 0.52))
        for count in (1, 2, 4, 8, 16, 32, 64, 270)
    ]
    return figures.ndcg_by_heads(interval(pd.DataFrame(rows)), {"bm25": 0.555})


def ndcg_by_depth():
    rows = [
        {"selection": name, "deepest": layer, "heads": 8, "mean": top * min(1, layer / 18)}
        for name, top in (("headrank-untuned", 0.59), ("core", 0.57), ("qrhead", 0.52))
        for layer in range(2, 30, 3)
    ]
    return figures.ndcg_by_depth(interval(pd.DataFrame(rows)), {"bm25": 0.555})


def training():
    generator = np.random.default_rng(1)
    steps, validation = [], []
    for seed in (1, 2, 3):
        for step in range(1, 81):
            loss = 0.4 + 0.6 * np.exp(-step / 30) + generator.normal(0, 0.05)
            steps.append({"seed": seed, "step": step, "epoch": 1 + (step > 40), "loss": loss})
        for epoch, value in enumerate((0.49, 0.58, 0.62)):
            validation.append({"seed": seed, "epoch": epoch, "ndcg@10": value + 0.005 * seed})
    return figures.training(pd.DataFrame(steps), pd.DataFrame(validation))


def learning_curve():
    rows = [
        {"queries": count, "seed": seed, "value": 0.4 + 0.08 * np.log10(count) + 0.01 * seed}
        for count in (25, 53, 106, 211, 500, 1000, 2000)
        for seed in (-1, 0, 1)
    ]
    lines = {"headrank-untuned": 0.55, "bm25": 0.557, "minilm": 0.718}
    return figures.learning_curve(pd.DataFrame(rows), lines, names={"minilm": "MiniLM-L6"})


def middle_zone():
    rows = []
    for name, rates in {"headrank-untuned": (0.55, 0.21), "headrank": (0.68, 0.19)}.items():
        for kind, rate in zip(
            ("relevant", "other", "gap"), (*rates, rates[0] - rates[1]), strict=True
        ):
            rows.append({"system": name, "kind": kind, "rate": rate})
    frame = pd.DataFrame(rows)
    return figures.middle_zone(frame.assign(low=frame["rate"] - 0.1, high=frame["rate"] + 0.1))


def ablation():
    rows = [
        ("Heads K", "8", True, 0.0, 1.0),
        ("Heads K", "16", False, -0.05, 0.01),
        ("Heads K", "4", False, 0.01, 0.7),
        ("Regulariser", "graded KL", True, 0.0, 1.0),
        ("Regulariser", "none", False, 0.04, 0.02),
    ]
    frame = pd.DataFrame(rows, columns=["factor", "setting", "default", "difference", "p_holm"])
    bounds = {"low": frame["difference"] - 0.02, "high": frame["difference"] + 0.02}
    return figures.ablation(frame.assign(**bounds))


def quality_latency():
    seconds = [0.0004, 0.35, 0.0004, 7.3, 3.1, 3.15]
    values = [0.557, 0.718, 0.21, 0.407, 0.592, 0.66]
    frame = pd.DataFrame({"method": METHODS, "seconds": seconds, "value": values})
    return figures.quality_latency(
        frame.assign(low=frame["value"] - 0.04, high=frame["value"] + 0.04)
    )


# What an experiment of many methods brings: the demo has fourteen, with names as long as these.
MANY = [
    *("bm25", "minilm", "minilm.stored", "random", "all-raw", "icr", "qrhead", "core"),
    *("headrank-untuned", "headrank-any-layer", "headrank-untuned+bm25", "headrank"),
    *("headrank-block-untuned", "headrank-block-untuned.stored", "headrank-block"),
    *("headrank-block.stored", "headrank+bm25"),
]
LONG = {name: f"HeadRank, {name.split('-')[-1]}, documents stored" for name in MANY[9:]}


def homogenisation_of_many():
    titles = ("All heads, raw", *(f"HeadRank, {name}, block" for name in ("untuned", "aligned")))
    systems = {f"{title} {n}": positions(n, n) for n in (0, 2) for title in titles}
    systems.popitem()
    return figures.homogenisation(systems)


def quality_latency_of_many():
    """Costs and values lie as close together as the demo's."""
    generator = np.random.default_rng(3)
    seconds = np.where([name.endswith(".stored") for name in MANY], 0.05, 1.1)
    seconds = seconds * generator.uniform(0.7, 1.4, len(MANY))
    frame = pd.DataFrame({"method": MANY, "seconds": [0.0005, *seconds[1:]]})
    frame["value"] = generator.uniform(0.45, 0.6, len(MANY))
    return figures.quality_latency(
        frame.assign(low=frame["value"] - 0.1, high=frame["value"] + 0.1), names=LONG
    )


def order_robustness_of_many():
    rows = [
        {"set": name, "method": method, "order": order, "mean": 0.3 + 0.02 * number}
        for name in ("InsuranceQA (n = 27)", "Semanlink (n = 8)", "Lee (n = 5)")
        for number, method in enumerate(MANY)
        for order in ("shuffled", "first-stage", "reversed")
    ]
    return figures.order_robustness(interval(pd.DataFrame(rows)), names=LONG)


def middle_zone_of_many():
    rows = [
        {"system": name, "kind": kind, "rate": rate}
        for name in MANY[4:]
        for kind, rate in (("relevant", 0.6), ("other", 0.2), ("gap", 0.4))
    ]
    frame = pd.DataFrame(rows)
    bounds = {"low": frame["rate"] - 0.1, "high": frame["rate"] + 0.1}
    return figures.middle_zone(frame.assign(**bounds), names=LONG)


def ndcg_by_heads_of_many():
    rows = [
        {"selection": name, "heads": count, "mean": 0.5 + 0.01 * place}
        for place, name in enumerate(MANY[5:])
        for count in (1, 2, 4, 8, 16, 32, 64, 270)
    ]
    lines = {"bm25": 0.519, "minilm": 0.52, "random": 0.19}
    return figures.ndcg_by_heads(interval(pd.DataFrame(rows)), lines, names=LONG)


def learning_curve_of_many():
    rows = [
        {"curve": curve, "queries": count, "seed": seed, "value": low + 0.001 * count + 0.01 * seed}
        for low, curve in enumerate(("HeadRank", "HeadRank, block", "HeadRank, block, max-logit"))
        for count in (25, 211, 2600)
        for seed in (1, 2)
    ]
    return figures.learning_curve(pd.DataFrame(rows), {"bm25": 0.5, "minilm": 0.6})


DRAWN = [
    head_scores,
    homogenisation,
    order_robustness,
    ndcg_by_heads,
    ndcg_by_depth,
    training,
    learning_curve,
    middle_zone,
    ablation,
    quality_latency,
]

CROWDED = [
    learning_curve_of_many,
    homogenisation_of_many,
    quality_latency_of_many,
    order_robustness_of_many,
    middle_zone_of_many,
    ndcg_by_heads_of_many,
]
