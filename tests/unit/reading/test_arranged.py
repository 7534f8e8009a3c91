"""Readings of a block layout in a prompt order: the same documents at other places."""

import numpy as np
import pytest

from headrank.data.candidates import CandidateList, Passage, arrange
from headrank.data.heads import Head, HeadSet
from headrank.evaluation.homogenisation import scored_reading
from headrank.evaluation.middle_zone import prompt_orders
from headrank.heads.fold import fold
from headrank.options.fold import Fold
from headrank.reading.arranged import load_in_order, moved
from headrank.reading.readings import ListReading, ReadingFile, save_readings

DOCS = tuple(f"d{n}" for n in range(7))
SEED = 13


def reading(query="q1"):
    """Return a reading whose every array tells which document a number belongs to."""
    generator = np.random.default_rng(len(query))
    widths = np.arange(1, 8)
    ends = widths.cumsum()
    tokens = generator.random((2, 3, ends[-1])).astype(np.float32)
    spans = np.stack([ends - widths, ends], axis=1)
    query_mass = np.stack([tokens[..., a:b].sum(axis=-1) for a, b in spans], axis=-1)
    return ListReading(
        query,
        DOCS,
        query_mass,
        query_mass / 2,
        spans,
        tokens.sum(axis=(0, 1)),
        tokens,
        distance=ends,
        max_logits=np.log(query_mass),
    )


def saved(path, layout):
    prompt = {} if layout == "joint" else {"layout": layout}
    save_readings(path, [reading("q1"), reading("q22")], {"prompt": prompt})
    return path


@pytest.mark.parametrize("order", ["first-stage", "reversed", "shuffled", "shuffled-2"])
def test_documents_stand_where_a_joint_prompt_would_have_them(tmp_path, order):
    path = saved(tmp_path / "0.npz", "block")
    (shard,) = load_in_order([path], order, SEED)
    plain = {one.query_id: one for one in ReadingFile(path).lists(tokens=True)}
    for one in shard.lists(tokens=True):
        passages = tuple(Passage("", name) for name in DOCS)
        listed = arrange(CandidateList(one.query_id, "x", DOCS, passages), order, SEED)
        assert one.doc_ids == listed.doc_ids
        base = plain[one.query_id]
        for heads in (None, HeadSet((Head(0, 1), Head(1, 2)))):
            for how in (Fold(), Fold(aggregation="log-sum"), Fold(calibrate=True, outliers=True)):
                scores = dict(zip(one.doc_ids, fold(one, heads, how), strict=True))
                assert scores == dict(zip(base.doc_ids, fold(base, heads, how), strict=True))
        assert dict(zip(one.doc_ids, one.distance, strict=True)) == dict(
            zip(base.doc_ids, base.distance, strict=True)
        )
    assert len(shard) == 2 and [one.query_id for one in shard] == ["q1", "q22"]
    assert prompt_orders([shard]) == {one.query_id: one.doc_ids for one in shard}
    assert [one.doc_ids for one in scored_reading([shard], None, Fold())] == [
        one.doc_ids for one in shard
    ]


def test_a_joint_reading_stays_as_it_was_read(tmp_path):
    (shard,) = load_in_order([saved(tmp_path / "0.npz", "joint")], "reversed", SEED)
    assert [one.doc_ids for one in shard] == [DOCS, DOCS]


def test_a_reading_without_tokens_is_moved_too():
    bare = ListReading("q1", DOCS, np.arange(7, dtype=np.float32).reshape(1, 1, 7))
    found = moved(bare, "reversed", SEED)
    assert found.doc_ids == DOCS[::-1] and found.query[0, 0].tolist() == [6, 5, 4, 3, 2, 1, 0]
    assert found.spans is None and found.calibration is None
