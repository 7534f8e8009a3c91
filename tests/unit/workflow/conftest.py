"""A folder of results that several modules trace."""

import numpy as np
import pytest

from headrank.data.trec import Run
from headrank.io.files import digest, read_json, sha256, write_json, write_jsonl
from headrank.reading.readings import ListReading, save_readings
from headrank.workflow.provenance.readers import Part
from headrank.workflow.provenance.run_metadata import (
    save_metadata,
)
from tests.helpers.finished_run import ADAPTER, CONFIG, QUERIES, READING, RUN, card, described, note


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Return a working folder with results and resources of one small experiment."""
    monkeypatch.chdir(tmp_path)
    model, collection = tmp_path / "resources/models/tiny", tmp_path / "resources/collections/food"
    for folder, file in ((model, "model.safetensors"), (collection, "corpus.jsonl")):
        folder.mkdir(parents=True)
        (folder / file).write_text("first\n")
    cards = {
        "models": {"tiny": card(model, "model.safetensors", "headrank.json")},
        "collections": {"food": card(collection, "corpus.jsonl", "collection.json")},
    }
    weights = read_json(cards["models"]["tiny"])["sha256"]["model.safetensors"]
    adapter = tmp_path / ADAPTER
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_text("lora\n")
    hashes = {"adapter_model.safetensors": sha256(adapter / "adapter_model.safetensors")}
    write_json(
        adapter / "headrank.json", {"model_digest": weights, "sha256": hashes, "best_epoch": 0}
    )
    save_readings(
        READING,
        [ListReading("q1", ("d1", "d2"), np.ones((1, 1, 2), np.float32))],
        {
            "model_digest": weights,
            "adapter_digest": digest(adapter / "adapter_model.safetensors"),
            "versions": {"torch": "2.13.0"},
        },
    )
    Run({"q1": [("d1", 2.0), ("d2", 1.0)]}, "core").save(RUN)
    (tmp_path / "results/sets/exam").mkdir(parents=True)
    write_jsonl(QUERIES, [{"query_id": "q1", "text": "a"}, {"query_id": "q2", "text": "b"}])
    write_json("results/sets/exam/set.json", {"dropped": {"q3": "heads"}})
    save_metadata(RUN, described(CONFIG, {READING: Part.of(READING)}, **cards))
    note(cards)
    return tmp_path
