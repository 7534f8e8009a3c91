"""A run's metadata tell what made it, and queries without a ranking."""

import json

import numpy as np
import pytest
import yaml

from headrank.io.arrays import save_arrays
from headrank.io.files import sha256, write_json
from headrank.reading.readings import ListReading, save_readings
from headrank.workflow.provenance.manifest import (
    missing_queries,
    prompt_digest,
)
from headrank.workflow.provenance.process import save_reader
from headrank.workflow.provenance.readers import Part, cut_of, distinct, reader_of
from headrank.workflow.provenance.run_metadata import (
    load_metadata,
    metadata_path,
)
from tests.helpers.expected_errors import refused
from tests.helpers.finished_run import (
    ADAPTER,
    COMMAND,
    CONFIG,
    QUERIES,
    READING,
    RUN,
    described,
    host,
)


def test_metadata_stand_in_the_parts_of_primad(work):
    found = load_metadata(metadata_path(RUN))
    parts = ("platform", "research goal", "implementation", "method", "data")
    assert [key for key in found if key in parts] == list(parts)
    first, own = found["method"]["retrieval"]
    assert (first["name"], first["k1"], own["reranks"]) == ("bm25", 0.9, "bm25")
    uses = [entry["use"] for entry in found["data"]["training data"]]
    assert uses == ["head selection", "alignment", "validation"]
    assert found["headrank"]["sha256"] == sha256(RUN)
    assert found["headrank"]["missing queries"] == ["q2"]
    assert found["headrank"]["made from"] == {READING: sha256(READING)}
    assert found["headrank"]["alignment_prompt_sha256"] == prompt_digest({"document_tokens": 16})
    assert found["implementation"]["executable"]["cmd"] == COMMAND
    # The run itself holds neither a time nor a machine, so its bytes can be reproduced.
    assert (work / RUN).read_text().count("\n") == 2


def test_metadata_tell_what_the_model_was_read_with(work):
    """The job that writes them may run in an environment without torch, at another commit."""
    made = {
        "headrank": "0.1.0",
        "code": "0123456789abcdef",
        "git": {"commit": "a" * 40, "dirty": False},
        "device": "cuda",
        "gpu": {"name": "Pretended", "driver": "580"},
        "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
    }
    reading = ListReading("q1", ("d1",), np.ones((1, 1, 1), np.float32))
    paths = [work / f"{number}.npz" for number in range(2)]
    for path in paths:
        save_readings(path, [reading], made | {"model_digest": "m"})
    paths.append(work / "cut.reader.json")
    write_json(paths[-1], made)
    paths.append(work / ADAPTER / "headrank.json")
    assert distinct(map(reader_of, paths)) == [made]
    config = json.loads(json.dumps(CONFIG))
    config["models"]["tiny"]["device"] = "auto"
    parts = {str(path): Part.of(path) for path in paths}
    found = described(config, parts, on=host(numpy="2", pandas="3"))
    libraries = found["platform"]["software"]["libraries"]["python"]
    assert libraries == ["numpy==2.4.6", "pandas==3", "torch==2.13.0"]
    assert found["headrank"]["device"] == "cuda"
    del made["versions"]
    assert found["headrank"]["read by"] == [made]


def test_metadata_tell_how_many_documents_were_cut(work):
    pytest.importorskip("torch")  # what read a run names its version
    mass = np.ones((1, 1, 2), np.float32)
    readings = [
        ListReading("q1", ("d1", "d2"), mass, cut={"d2": (30, 12)}),
        ListReading("q2", ("d1", "d3"), mass),
    ]
    save_readings(work / "0.npz", readings, {"model_digest": "m"})
    save_reader(
        work / "1.run",
        "code",
        device="cpu",
        gpu=None,
        cut={"documents": 3, "cut": 2, "tokens": 50, "kept_tokens": 24},
    )
    assert cut_of(work / "0.npz") == {"documents": 4, "cut": 1, "tokens": 30, "kept_tokens": 12}
    assert cut_of(work / ADAPTER / "headrank.json") == {}
    parts = {name: Part.of(work / name) for name in ("0.npz", "1.reader.json")}
    found = described(CONFIG, parts)
    assert found["headrank"]["documents cut"] == {
        "documents": 7,
        "cut": 3,
        "tokens": 80,
        "kept_tokens": 36,
    }
    assert "documents cut" not in described()["headrank"]


def test_candidates_of_another_system_are_not_called_bm25(work):
    config = json.loads(json.dumps(CONFIG))
    config["collections"]["food"]["runs"] = {"test": "given.run"}
    made = described(config)
    assert made["method"]["retrieval"][0] == {"name": "run", "depth": 20}
    assert "indexing" not in made["method"]


@pytest.mark.parametrize(("chosen", "stemmer"), [({}, "Porter"), ({"analyzer": "unicode"}, "none")])
def test_metadata_tell_how_text_became_terms(work, chosen, stemmer):
    config = json.loads(json.dumps(CONFIG))
    config["first_stage"] |= chosen
    made = described(config)["method"]
    assert made["indexing"]["stemmer"] == stemmer
    assert made["retrieval"][0].get("analyzer") == chosen.get("analyzer")
    assert made["score ties"] == "document id, ascending"


def test_a_reading_without_provenance_is_refused(work):
    save_readings(work / "0.npz", [ListReading("q1", ("d1",), np.ones((1, 1, 1), np.float32))], {})
    assert reader_of(work / "0.npz") == {}
    path = work / "1.npz"
    save_arrays(path, {"queries": []}, {})
    with refused("1.npz: no provenance in the reading; delete it and read again"):
        reader_of(path)


def test_damaged_metadata_are_refused(work):
    path = work / metadata_path(RUN)
    path.write_text("tag: [")
    with refused("not YAML"):
        load_metadata(path)
    path.write_text(yaml.safe_dump({"tag": "core"}))
    with refused("not the metadata of a run"):
        load_metadata(path)


def test_queries_without_a_ranking_are_failures(work):
    assert missing_queries(RUN, QUERIES) == ["q2"]
