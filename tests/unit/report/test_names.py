"""Printed names of methods, and the groups that they stand in."""

import pytest

from headrank.report import names as labels
from tests.helpers.table_values import KINDS


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


def test_a_headrank_method_is_named_by_what_it_is_whatever_its_key():
    aligned = {"heads": "headrank", "adapter": "mine"}
    names = labels.printed({"icr": {}, "headrank": aligned, "headrank-untuned": {}})
    assert labels.label("headrank", names) == "HeadRank, aligned"
    assert labels.label("headrank-untuned", names) == "HeadRank, untuned"
    assert labels.label("headrank+bm25", names) == "HeadRank, aligned + BM25"
    # A config without alignment may call its heads by the same key.
    assert labels.printed({"headrank": {"heads": "headrank"}}) == {"headrank": "HeadRank, untuned"}
    assert labels.printed({"headrank": aligned}, {"headrank": "Ours"}) == {"headrank": "Ours"}


def test_two_methods_never_print_alike():
    names = labels.printed({"headrank": {}, "headrank-untuned": {}})
    assert len(set(names.values())) == 2
