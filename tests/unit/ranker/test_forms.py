"""The calls that other rerankers have: the scores of ``rerank`` in another dress."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from headrank.data.candidates import Passage
from headrank.errors import HeadRankError
from tests.helpers import tiny_models as tiny
from tests.helpers.rankers import QUERY, ranker

OTHER = "who barks at night"


@pytest.fixture(scope="module")
def mine():
    return ranker(order="shuffled")


def test_rank_has_the_form_of_a_cross_encoder(mine):
    expected = mine.rerank(QUERY, tiny.TEXTS)
    plain = [{"corpus_id": one.index, "score": one.score} for one in expected]
    assert mine.rank(QUERY, tiny.TEXTS) == plain
    assert mine.rank(QUERY, tiny.TEXTS, 2) == plain[:2]
    texts = mine.rank(QUERY, tiny.TEXTS, top_k=3, return_documents=True)
    assert [one["text"] for one in texts] == [tiny.TEXTS[one["corpus_id"]] for one in texts]
    assert all(type(one["corpus_id"]) is int and type(one["score"]) is float for one in plain)


def test_rank_agrees_with_the_keys_of_sentence_transformers(mine):
    """``CrossEncoder.rank`` gives these keys; its own test needs weights, so they stand here."""
    assert mine.rank(QUERY, tiny.TEXTS, return_documents=True)[0].keys() == {
        "corpus_id",
        "score",
        "text",
    }


def test_ids_of_mappings_are_no_places(mine):
    """The ids decide nothing here: two may be the same, and the place is told."""
    documents = [{"id": "same", "page_content": text} for text in tiny.TEXTS]
    assert mine.rank(QUERY, documents) == mine.rank(QUERY, tiny.TEXTS)


def test_a_call_is_a_rerank_cut_at_top_k(mine):
    assert mine(QUERY, tiny.TEXTS) == mine.rerank(QUERY, tiny.TEXTS)
    assert mine(QUERY, tiny.TEXTS, top_k=2) == mine.rerank(QUERY, tiny.TEXTS)[:2]
    assert mine(QUERY, tiny.TEXTS, query_id="q7") == mine.rerank(QUERY, tiny.TEXTS, query_id="q7")
    assert len(mine(QUERY, tiny.TEXTS, top_k=99)) == len(tiny.TEXTS)


def test_predict_gives_scores_in_the_order_of_the_pairs(mine):
    pairs = [(query, text) for text in tiny.TEXTS for query in (QUERY, OTHER)]
    scores = mine.predict(pairs)
    assert scores.shape == (12,)
    for start, query in enumerate((QUERY, OTHER)):
        found = {one.index: one.score for one in mine.rerank(query, tiny.TEXTS)}
        assert scores[start::2].tolist() == [found[place] for place in range(6)]
    # A pair of a list that is alone is another list.
    alone = mine.predict((QUERY, tiny.TEXTS[0]))
    assert isinstance(alone, float) and alone != scores[0]
    assert mine.predict([[QUERY, tiny.TEXTS[0]]]).tolist() == [alone]


def test_predict_takes_a_passage_twice_and_any_iterable(mine):
    twice = [(QUERY, tiny.TEXTS[0]), (QUERY, Passage("", tiny.TEXTS[1])), (QUERY, tiny.TEXTS[0])]
    scores = mine.predict(one for one in twice)
    assert np.isfinite(scores).all()
    assert mine.predict(twice).tolist() == scores.tolist()


def test_passages_may_be_any_iterable_with_an_order(mine):
    expected = mine.rerank(QUERY, tiny.TEXTS)
    assert mine.rerank(QUERY, (text for text in tiny.TEXTS)) == expected
    assert mine.rerank(QUERY, iter(tiny.TEXTS)) == expected
    assert mine.rerank(QUERY, ({"page_content": t, "metadata": {}} for t in tiny.TEXTS)) == expected
    assert mine.rank(QUERY, np.array(tiny.TEXTS, dtype=object)) == mine.rank(QUERY, tiny.TEXTS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda mine: mine.rank(QUERY, "text"), "documents is one text; give a list"),
        (lambda mine: mine.rank(QUERY, {"a", "b"}), "documents is a set"),
        (lambda mine: mine.rank(QUERY, pd.DataFrame({"a": ["b"]})), "documents is a DataFrame"),
        (lambda mine: mine.rank(QUERY, 3), "documents is an int"),
        (
            lambda mine: mine.rerank_queries(pd.DataFrame({"a": ["b"]}), tiny.TEXTS),
            "queries is a DataFrame",
        ),
        (lambda mine: mine.rerank_queries({"a": "b"}, tiny.TEXTS), "queries is a dict"),
        (lambda mine: mine.rank(QUERY, ["a"], top_k=0), "top_k is 0; allowed: a whole number"),
        (lambda mine: mine(QUERY, ["a"], top_k=True), "top_k is True"),
        (lambda mine: mine.predict([]), "there are no pairs"),
        (lambda mine: mine.predict("ab"), "pairs is one text"),
        (lambda mine: mine.predict([(QUERY, "a"), (QUERY,)]), "pair 2 of 2 is a tuple"),
        (lambda mine: mine.predict([(QUERY, "a"), "bc"]), "pair 2 of 2 is a str"),
        (lambda mine: mine.predict([(3, "a")]), "the query of pair 1 of 1 is an int"),
    ],
)
def test_what_cannot_be_scored_is_named(mine, call, message):
    with pytest.raises(HeadRankError, match=message):
        call(mine)
