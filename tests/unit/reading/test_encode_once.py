"""Lists of a job share encoded documents: each is read once, and other lists change no score."""

from __future__ import annotations

import numpy as np
import pytest

from headrank.collections.set_files import save_set
from headrank.data.candidates import CandidateList, Passage
from headrank.data.trec import Qrels, Run
from headrank.models.card import record_model
from headrank.models.decoder import load_model
from headrank.options.prompt import STORABLE, PromptOptions
from headrank.reading.document_store import Shelf, job_store, state_of
from headrank.reading.lists import read_lists
from headrank.reading.prompt import PromptBuilder
from headrank.reading.readings import ReadingFile
from headrank.reading.recording import ReadOptions
from tests.helpers import tiny_models as tiny
from tests.helpers.scripts import script

ARRAYS = ("query", "calibration", "contrast", "tokens", "max_logits")
# Places in the pool: lists share some documents, and one list holds nothing new.
LISTS = {"q1": range(8), "q2": range(5, 11), "q3": (11, 2, 7), "q4": (9, 11, 1, 3)}
POOL = [" ".join([tiny.TEXTS[n % 6]] * (1 + n // 4) + ["policy"] * n) for n in range(12)]


def lists():
    return [
        CandidateList(
            name,
            f"what does {name} pay",
            tuple(f"d{n}" for n in places),
            tuple(Passage("", POOL[n]) for n in places),
        )
        for name, places in LISTS.items()
    ]


def read(model, builder, chosen, store=None):
    shelf = None if store is None else Shelf(store, state_of(model, None), model.device)
    options = ReadOptions(keep_tokens=True, keep_max_logits=True)
    return list(read_lists(model, builder, chosen, options, shelf=shelf, label=None))


@pytest.mark.parametrize("layout", STORABLE)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_document_is_read_once_and_other_lists_change_nothing(architecture, dtype, layout):
    model = load_model(tiny.folder(architecture), dtype=dtype)
    options = PromptOptions(layout=layout, query_offset=110)
    builder = PromptBuilder(model.tokenizer, options, model.context)
    store = job_store(True, layout)
    shared = read(model, builder, lists(), store)
    total = sum(map(len, LISTS.values()))
    assert (store.misses, store.hits) == (len(POOL), total - len(POOL))
    plain = read(model, builder, lists())
    for one, found, reference in zip(lists(), shared, plain, strict=True):
        (alone,) = read(model, builder, [one], job_store(True, layout))
        # Most are the same bits. A library may add up a product with another number of rows in
        # another order, as it does here for qwen2, whose projections have a bias.
        close = {"float32": 2e-6, "bfloat16": 0.02}[dtype]
        for name in ARRAYS:
            pair = getattr(found, name), getattr(alone, name)
            np.testing.assert_allclose(*pair, rtol=close, atol=close, err_msg=name)
        # Without a store documents of like length are padded: the same up to rounding.
        close = {"float32": 1e-4, "bfloat16": 0.1}[dtype]
        np.testing.assert_allclose(found.query, reference.query, rtol=close, atol=close / 100)
    assert (np.ptp(shared[0].query, axis=-1) > 0).any()


def test_only_layouts_without_other_text_keep_anything():
    assert job_store(False, "block") is None
    assert job_store(True, "joint") is job_store(True, "block+query") is None


def test_shards_of_the_workflow_change_no_number(tmp_path):
    model = tmp_path / "model"
    model.symlink_to(tiny.folder("llama"))
    record_model(model, {"kind": "random"})
    chosen = lists()
    run = Run.from_scores({one.query_id: {d: 0.0 for d in one.doc_ids} for one in chosen})
    save_set(tmp_path / "set", chosen, run, Qrels({}))
    shared = {
        "weights": {"dtype": "float32", "device": "cpu"},
        "prompt": {"layout": "block"},
        "order": "shuffled",
        "seed": 13,
        "threads": 1,
        "batch_tokens": "auto",
        "code": "digest",
        "encode_once": True,
    }

    def readings(shards):
        found = {}
        for shard in range(shards):
            target = tmp_path / f"{shard}-of-{shards}.npz"
            script("read_set").main(
                tmp_path / "set", model, str(target), tmp_path / "begun", adapter=None,
                calibrate=True, tokens="none", layers=None, max_logits=False, shard=shard,
                shards=shards, **shared,
            )  # fmt: skip
            file = ReadingFile(target)
            assert file.meta["provenance"]["encode_once"] is True
            found |= {one.query_id: one for one in file}
        return found

    def ranked(shards):
        found = {}
        for shard in range(shards):
            target = tmp_path / f"{shard}-of-{shards}.run"
            script("rank_truncated").main(
                tmp_path / "set", model, None, None, str(target), tmp_path / "begun", method="icr",
                fold={"calibrate": True, "outliers": True, "aggregation": "sum"}, shard=shard,
                shards=shards, **shared,
            )  # fmt: skip
            found |= Run.load(target).rankings
        return found

    whole, parted = readings(1), readings(4)
    assert whole.keys() == parted.keys() == LISTS.keys()
    for name, one in whole.items():
        np.testing.assert_allclose(one.query, parted[name].query, rtol=2e-6)
        np.testing.assert_allclose(one.contrast, parted[name].contrast, atol=2e-6)
    whole, parted = ranked(1), ranked(4)
    for name, ranking in whole.items():
        assert [d for d, _ in ranking] == [d for d, _ in parted[name]]
        scores = [[score for _, score in one[name]] for one in (whole, parted)]
        np.testing.assert_allclose(*scores, atol=2e-6)
