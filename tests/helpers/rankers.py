"""Rankers on tiny models, and labelled queries for them."""

from __future__ import annotations

import numpy as np

from headrank.data.heads import Head, HeadSet
from headrank.fitting import LabelledQuery
from headrank.ranker.ranker import HeadRanker
from tests.helpers import tiny_models as tiny

HEADS = HeadSet((Head(2, 3), Head(0, 1), Head(1, 2)))
QUERY = "what does a policy pay"


def ranker(architecture="qwen3", **settings) -> HeadRanker:
    return HeadRanker.from_pretrained(
        tiny.folder(architecture), **{"heads": HEADS, "order": "first-stage"} | settings
    )


def scores(ranking) -> dict[str, float]:
    return {one.doc_id: one.score for one in ranking}


def by_place(ranking) -> np.ndarray:
    return np.array([one.score for one in sorted(ranking, key=lambda one: one.index)])


def examples(count=8):
    return [
        LabelledQuery(
            f"{QUERY} {number}",
            tiny.TEXTS,
            [2 if place == number % 6 else int(place == (number + 1) % 6) for place in range(6)],
            f"q{number}",
        )
        for number in range(count)
    ]
