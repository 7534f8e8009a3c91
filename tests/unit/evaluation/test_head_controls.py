"""The number of heads and the controls, on readings whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.evaluation.head_controls import (
    LAYER_0,
    RANDOM,
    SELECTED,
    Measurement,
    head_controls,
    ndcg_by_depth,
    ndcg_by_heads,
)
from headrank.heads.profile import profile_heads
from headrank.options.fold import Fold
from headrank.options.selection import SelectionOptions
from headrank.reading.readings import ListReading, ReadingFile, save_readings

NAMES = [f"d{i}" for i in range(12)]
GOOD = HeadSet((Head(1, 0),))


def readings(path, order, queries=range(12)):
    """Three layers of two heads: head (1, 0) finds the relevant document, layer 0 is recency."""
    lists, grades = [], {}
    for number in queries:
        generator = np.random.default_rng(number)
        names = generator.permutation(NAMES)
        relevant = names[0]  # the first stage's best document
        if order == "reversed":
            names = names[::-1]
        elif order == "shuffled":
            names = generator.permutation(names)
        place = list(names).index(relevant)
        mass = generator.uniform(0.01, 0.02, (3, 2, 12))
        mass[0, 0] = np.linspace(0.01, 0.3, 12)
        mass[1, 0, place] = 0.5
        mass[2, 1, place] = 0.0001
        name = f"q{number}"
        lists.append(ListReading(name, tuple(map(str, names)), mass.astype(np.float32)))
        grades[name] = {str(relevant): 1}
    save_readings(path, lists, {})
    return [ReadingFile(path)], Qrels(grades)


def test_ndcg_by_heads_starts_at_the_best_head_and_ends_at_all(tmp_path):
    train, train_qrels = readings(tmp_path / "train.npz", "shuffled", range(100, 120))
    shards, qrels = readings(tmp_path / "test.npz", "shuffled")
    profile = profile_heads(train, train_qrels)
    selections = {
        "headrank": (SelectionOptions("graded", 8, 0.1), Fold(aggregation="log-sum")),
        "late": (SelectionOptions("graded", 1, layers=(2, 2)), Fold()),
    }
    curve = ndcg_by_heads(shards, qrels, profile, selections, counts=(1, 2, 64))
    points = curve.set_index(["selection", "heads"])
    late = [("late", 1), ("late", 2)]
    assert list(points.index) == [("headrank", 1), ("headrank", 2), ("headrank", 6), *late]
    assert points.loc[("headrank", 1), "mean"] == 1.0
    assert points.loc[("late", 1), "mean"] < 0.7
    assert (curve["n"] == 12).all()
    assert (curve["low"] <= curve["mean"]).all() and (curve["mean"] <= curve["high"]).all()


def test_ndcg_by_depth_rises_where_the_good_head_may_be_selected(tmp_path):
    train, train_qrels = readings(tmp_path / "train.npz", "shuffled", range(100, 120))
    shards, qrels = readings(tmp_path / "test.npz", "shuffled")
    profile = profile_heads(train, train_qrels)
    selections = {
        "headrank": (SelectionOptions("graded", 1, 0.1), Fold(aggregation="log-sum")),
        "many": (SelectionOptions("graded", 3), Fold()),
        "late": (SelectionOptions("graded", 1, layers=(1, 9)), Fold()),
    }
    curve = ndcg_by_depth(shards, qrels, profile, selections, step=1)
    points = curve.set_index(["selection", "deepest"])
    late = [("late", 1), ("late", 2)]
    assert list(points.index) == [(n, d) for n in ("headrank", "many") for d in range(3)] + late
    assert points.loc[("headrank", 0), "mean"] < 0.8
    assert points.loc[("headrank", 1), "mean"] == points.loc[("headrank", 2), "mean"] == 1.0
    # Layer 0 has two heads only.
    assert points["heads"].tolist() == [1, 1, 1, 2, 3, 3, 1, 1]
    whole = ndcg_by_heads(shards, qrels, profile, selections, counts=(1,))
    expected = whole.set_index(["selection", "heads"]).loc[("headrank", 1)]
    assert points.loc[("headrank", 2), ["mean", "low", "high", "n"]].equals(expected)
    # From the whole depth back: layers 2 and 0.
    sparse = ndcg_by_depth(shards, qrels, profile, selections, step=2)
    assert sparse["deepest"].tolist() == [0, 2, 0, 2, 2]
    # Where no head of the allowed layers sees every document, there is nothing to select.
    blind = replace(profile, blind=np.repeat([[True], [False], [False]], 2, axis=1))
    sighted = ndcg_by_depth(shards, qrels, blind, selections, step=1)
    assert sighted["deepest"].tolist() == [1, 2] * 3
    with pytest.raises(HeadRankError, match="step is 0"):
        ndcg_by_depth(shards, qrels, profile, selections, step=0)


def test_controls_show_recency(tmp_path):
    shards = {}
    for order in ("shuffled", "reversed"):
        shards[order], qrels = readings(tmp_path / f"{order}.npz", order)
    table = head_controls(shards, qrels, GOOD, Fold(), Measurement(seed=3))
    values = table.set_index(["order", "system"])["mean"]
    assert values["shuffled", SELECTED] == values["reversed", SELECTED] == 1.0
    # The best document stands next to the query, so mere recency ranks it first.
    assert values["reversed", LAYER_0] == 1.0
    assert values["shuffled", LAYER_0] < 0.8
    # One relevant document among twelve: mean of 1 / log2(rank + 1) over ranks to 10.
    expected = sum(1 / np.log2(rank + 1) for rank in range(1, 11)) / 12
    for order in shards:
        assert values[order, RANDOM] == pytest.approx(expected, abs=0.08)
    again = head_controls(shards, qrels, GOOD, Fold(), Measurement(seed=3))
    assert table.equals(again)
    with pytest.raises(HeadRankError, match="no readings"):
        head_controls({}, qrels, GOOD, Fold())
