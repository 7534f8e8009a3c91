"""Mining pairs with the model: what is read of which lists, and what is checked before."""

from dataclasses import replace

import numpy as np
import pytest

from headrank.align.forward import HeadReader
from headrank.align.lists import Judged
from headrank.align.mine import mine_with_model
from headrank.data.candidates import arrange
from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.options.pairs import PairOptions
from headrank.options.prompt import PromptOptions
from headrank.reading.prefill import read_prompt
from headrank.reading.sliding_window import distances
from tests.helpers import models
from tests.helpers.alignment import inputs


def test_mined_margins_are_those_of_the_shuffled_reading():
    (reader, data), _ = inputs()
    builder, heads, lists, pairs = reader.builder, reader.heads, data.training.lists, data.pairs
    assert set(pairs.by_query()) == {one.query_id for one in lists}
    moved = arrange(lists[1], "shuffled", 0)
    masses = read_prompt(reader.model, builder.build(moved))[0].documents
    z = np.log(sum(masses[layer, head] for layer, head in heads.pairs))
    for pair in pairs.by_query()[moved.query_id]:
        i, j = moved.doc_ids.index(pair.chosen), moved.doc_ids.index(pair.rejected)
        assert (pair.chosen_position, pair.rejected_position) == (i, j)
        assert pair.margin == pytest.approx(float(z[i] - z[j]), abs=1e-4)
    with pytest.raises(HeadRankError, match="selected on weights x"):
        other = replace(reader, heads=replace(heads, provenance={"model_digest": "x"}))
        mine_with_model(other, data.training, PairOptions(), 0, progress=False)


def test_lists_whose_pairs_no_margin_decides_are_not_read(monkeypatch):
    (reader, data), _ = inputs()
    lists, qrels = data.training
    binary = {
        query: {d: min(grade, 1) for d, grade in of.items()} for query, of in qrels.grades.items()
    }
    read = []
    whole = HeadReader.shuffled_relevance

    def noted(self, candidates, seed):
        read.append(candidates.query_id)
        return whole(self, candidates, seed)

    monkeypatch.setattr(HeadReader, "shuffled_relevance", noted)

    def mined(grades, **options):
        read.clear()
        training = Judged(lists, Qrels(grades))
        return mine_with_model(reader, training, PairOptions(**options), 0, progress=False).pairs

    def taken(pairs):
        return {(p.query_id, p.chosen, p.rejected, p.chosen_position) for p in pairs}

    every = mined(binary)
    assert len(read) == len(lists)
    unread = mined(binary, margins=False)
    assert not read and np.isnan([pair.margin for pair in unread]).all()
    assert taken(unread) == taken(every)
    # A cap drops some: one that was asked for, or that of twice the scarcest boundary.
    for grades, options in ((binary, {"per_query": 3}), (qrels.grades, {})):
        assert mined(grades, margins=False, **options) == mined(grades, **options)
        assert len(read) == len(lists)


def test_a_list_is_checked_in_the_order_in_which_it_is_read():
    """A head sees the first document only if it is long: what lies behind it is shorter then."""
    long = [f"{word} night age month car" for word in ("sun", "soil", "rich")]
    one, heads = models.candidates(("house", *long)), HeadSet((Head(1, 0),))
    prompt = HeadReader.of(models.loaded("mistral"), PromptOptions(), heads).builder.build(one)
    window = int(distances(prompt)[0]) - 1
    model = models.loaded("mistral-window", sliding_window=window)
    reader, seen = HeadReader.of(model, PromptOptions(), heads), set()
    for seed in range(8):
        first = arrange(one, "shuffled", seed).doc_ids[0]
        if first == "d0":
            for refused in (
                lambda s: reader.check([one], s),
                lambda s: reader.shuffled_relevance(one, s),
            ):
                with pytest.raises(HeadRankError, match="sliding window"):
                    refused(seed)
        else:
            reader.check([one], seed)
            reader.shuffled_relevance(one, seed)
        seen.add(first == "d0")
    assert seen == {True, False}
    reader.check([one])  # an order of its own for each epoch
