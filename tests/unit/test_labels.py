"""Printed names of methods, and the groups that they stand in."""

import pytest
from table_values import KINDS

from headrank import labels


@pytest.mark.parametrize(
    ("method", "adapter", "group"),
    [
        ("bm25", "-", "First stage"),
        ("minilm", "-", "Dense"),
        ("random", "-", "Controls"),
        ("icr", "none", "Training-free attention"),
        ("headrank", "pairs-1", "Aligned"),
        ("headrank+bm25", "pairs-1", "Fusions"),
        ("minilm+bm25", "-", "Fusions"),
    ],
)
def test_groups_of_methods(method, adapter, group):
    assert labels.group(method, adapter, KINDS) == group


def test_labels_of_fusions_and_of_unknown_methods():
    assert labels.label("headrank+bm25") == "HeadRank + BM25"
    assert labels.label("mine+bm25", {"bm25": "Lucene"}) == "mine + Lucene"
