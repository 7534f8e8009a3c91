"""A small task on which tests align heads: lists, settings, one whole run."""

from pathlib import Path

import numpy as np

from headrank.align import train
from headrank.align.forward import HeadReader
from headrank.align.lists import Judged
from headrank.align.loop import TrainingData
from headrank.align.mine import mine_with_model
from headrank.align.options import AlignOptions
from headrank.align.places import Folders
from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels
from headrank.options.pairs import PairOptions
from headrank.options.prompt import PromptOptions
from headrank.reading.prompt import PromptBuilder
from tests.helpers import models

HEADS = HeadSet((Head(2, 3), Head(1, 0), Head(2, 1)))
WORDS = ("house", "night", "age", "month", "car", "sun", "soil", "rich", "term", "loan")


def task(count, first=0):
    """Return lists whose relevant documents (grades 1, 2) hold the word ``policy``, and qrels."""
    generator = np.random.default_rng(first)
    lists, grades = [], {}
    for number in range(first, first + count):
        texts = []
        for place in range(6):
            words = list(generator.choice(WORDS, size=5))
            if place < 2:
                words[1 : 3 + place] = ["policy"] * (2 + place)
            texts.append(" ".join(words))
        one = models.candidates(texts, query_id=f"q{number}")
        lists.append(one)
        grades[one.query_id] = {"d0": 1, "d1": 2, "d2": 0}
    return Judged(lists, Qrels(grades))


OPTIONS = AlignOptions(
    rank=4, alpha=8, learning_rate=0.02, epochs=3, batch=2, checkpoint_every=2, dropout=0.1
)


def inputs(options=OPTIONS, architecture="llama", layout="joint"):
    """Return everything ``align`` takes, on a fresh model of three layers."""
    model = models.loaded(architecture, num_hidden_layers=3)
    prompt = PromptOptions(document_tokens=24, layout=layout)
    builder = PromptBuilder(models.tokenizer(), prompt)
    reader = HeadReader(model, builder, HEADS)
    training = task(5)
    pairs = mine_with_model(reader, training, PairOptions(), 0, progress=False)
    data = TrainingData(training, pairs, task(2, first=90))
    return (reader, data), {"options": options, "seed": 3, "progress": False}


def run(target, options=OPTIONS, checkpoint=None, layout="joint", **changes):
    args, settings = inputs(options, layout=layout)
    return train.align(*args, Folders(target, checkpoint), **settings | changes)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


class Killed(Exception):
    """Stands for a kill: nothing in the library catches it."""
