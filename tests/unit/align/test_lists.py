"""Training lists: trimming, shuffling, pairs as indices."""

import itertools
from dataclasses import replace

import pytest

from headrank.align.lists import pair_lists, shuffled, trim, trim_all
from headrank.align.pairs import Pair, PairSet
from headrank.data.candidates import CandidateList, Passage
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError


def graded_list(grades, query_id="q"):
    names = tuple(f"d{i}" for i in range(len(grades)))
    qrels = Qrels({query_id: {n: g for n, g in zip(names, grades, strict=True) if g is not None}})
    return CandidateList(query_id, "why?", names, tuple(Passage("", n) for n in names)), qrels


@pytest.mark.parametrize(
    ("grades", "documents", "kept"),
    [
        ([0, 1, 0, 0, 2, None], 4, ["d0", "d1", "d2", "d4"]),
        ([1, 1, 1, 2, 0, 0], 4, ["d0", "d3", "d4", "d5"]),  # half relevant, the best grades first
        ([0, 0, 0, 0, 0, 3], 3, ["d0", "d1", "d5"]),  # the relevant one is never cut off
        ([2, 1, 3], 4, ["d0", "d1", "d2"]),  # no other document: the places go to relevant ones
        ([2, 2, 1], 4, ["d0", "d1", "d2"]),
        ([1, 2, 1, 2, 0], 4, ["d0", "d1", "d3", "d4"]),  # one other: three of four are relevant
        ([0, -1, 1, None], 9, ["d0", "d1", "d2", "d3"]),
        ([1, 1, 1], 4, None),
        ([0, None, -2], 4, None),
    ],
)
def test_trimmed_lists(grades, documents, kept):
    one, qrels = graded_list(grades)
    trimmed = trim(one, qrels, documents)
    assert (None if trimmed is None else list(trimmed.doc_ids)) == kept
    if kept:
        assert [p.text for p in trimmed.passages] == kept
        assert trim_all([one, replace(one, query_id="unjudged")], qrels, documents) == [trimmed]
    else:
        with pytest.raises(HeadRankError, match="no training query has candidates of two grades"):
            trim_all([one], qrels, documents)


def test_each_epoch_shuffles_and_pairs_follow():
    one, qrels = graded_list([0, 1, 2, 0, 0, 0, 0, None])
    pairs = [Pair("q", "d2", "d1", 2, 1, 0.0, 5, 6), Pair("q", "d1", "d7", 1, 0, 0.0, 6, 1)]
    orders = set()
    for seed, epoch in itertools.product(range(2), range(3)):
        item = shuffled(one, qrels, pairs, seed, epoch)
        names = item.candidates.doc_ids
        orders.add(names)
        assert [names[i] for i in item.chosen] == ["d2", "d1"]
        assert [names[i] for i in item.rejected] == ["d1", "d7"]
        grades = dict(zip(names, item.grades.tolist(), strict=True))
        assert grades == {f"d{i}": g for i, g in enumerate([0, 1, 2, 0, 0, 0, 0, 0])}
        assert [p.text for p in item.candidates.passages] == list(names)
        assert shuffled(one, qrels, pairs, seed, epoch).candidates == item.candidates
    assert len(orders) == 6


def test_pairs_must_be_of_these_lists():
    one, qrels = graded_list([0, 1])
    pair = Pair("q", "d1", "d0", 1, 0, 0.0, 1, 0)
    lists = [one, replace(one, query_id="x")]
    assert pair_lists(lists, PairSet((pair,)), qrels) == [(one, [pair])]
    with pytest.raises(HeadRankError, match="query z has pairs but no training list; mine"):
        pair_lists([one], PairSet((replace(pair, query_id="z"),)), qrels)
    with pytest.raises(HeadRankError, match="query q: document d9 is in a pair but not in"):
        pair_lists([one], PairSet((replace(pair, rejected="d9"),)), qrels)
    with pytest.raises(HeadRankError, match="there is no pair to learn from"):
        pair_lists([one], PairSet(()), qrels)
    swapped = replace(pair, chosen="d0", rejected="d1")
    with pytest.raises(HeadRankError, match="prefers document d0 of grade 0 to d1 of grade 1;"):
        pair_lists([one], PairSet((swapped,)), qrels)
    with pytest.raises(HeadRankError, match="d1 of grade 0 to d0 of grade 0; mine"):
        pair_lists([one], PairSet((pair,)), Qrels({"q": {"d1": -1}}))
