"""Long lists in several prompts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrank.errors import HeadRankError
from headrank.ranker.long_lists import deal, merge


def test_documents_are_dealt_in_turns():
    assert deal(7, 3) == [[0, 3, 6], [1, 4], [2, 5]]
    assert deal(6, 6) == deal(6, None) == [[0, 1, 2, 3, 4, 5]]
    # A document alone would keep all attention and rank first.
    assert deal(3, 2) == [[0, 1, 2]] and deal(5, 2) == [[0, 2, 4], [1, 3]]


@given(st.integers(1, 300), st.integers(2, 60))
def test_windows_are_alike_and_hold_every_document_once(documents, window):
    windows = deal(documents, window)
    sizes = [len(places) for places in windows]
    assert sorted(place for places in windows for place in places) == list(range(documents))
    assert max(sizes) <= (3 if window == 2 else window)
    assert min(sizes) >= min(2, documents)
    assert max(sizes) - min(sizes) <= 1
    # The same mix: the windows' k-th documents are neighbours in the first stage.
    for k in range(min(sizes)):
        places = [places[k] for places in windows]
        assert places == list(range(k * len(windows), (k + 1) * len(windows)))


@given(st.permutations(range(12)), st.integers(2, 12))
def test_merge_puts_each_score_at_its_document(order, window):
    scores = np.linspace(3, -2, 12)
    moved = [np.array([p for p in order if p in places]) for places in deal(12, window)]
    assert merge(moved, [scores[places] for places in moved]).tolist() == scores.tolist()


@pytest.mark.parametrize("window", [1, 0, -3])
def test_a_window_compares_at_least_two_documents(window):
    with pytest.raises(HeadRankError, match=f"window is {window}"):
        deal(5, window)
