"""Results are traced by their manifest, and hashing them again finds every change."""

import json
import shutil
import subprocess
from dataclasses import asdict

import numpy as np
import pytest
import yaml

from headrank.cli import main
from headrank.data.trec import Run
from headrank.io.arrays import save_arrays
from headrank.io.files import digest, json_sha256, read_json, sha256, write_json, write_jsonl
from headrank.options.prompt import PromptOptions
from headrank.reading.readings import ListReading, save_readings
from headrank.workflow.provenance.manifest import (
    Files,
    manifest,
    missing_queries,
    prompt_digest,
    result_files,
)
from headrank.workflow.provenance.process import Host, git_state, machine, save_reader
from headrank.workflow.provenance.readers import Part, cut_of, distinct, reader_of
from headrank.workflow.provenance.run_metadata import (
    Shared,
    load_metadata,
    metadata_path,
    run_metadata,
    save_metadata,
)
from headrank.workflow.provenance.verify import verify_results
from tests.helpers.expected_errors import refused

CONFIG = {
    "seed": 13,
    "prompt": {"document_tokens": 24},
    "models": {"tiny": {"dtype": "float32", "device": "cpu"}},
    "collections": {
        "food": {"source": {"kind": "local", "path": "f"}, "first_stage": "auto", "runs": {}}
    },
    "sets": {"exam": {"collection": "food", "split": "test"}},
    "first_stage": {"depth": 20, "k1": 0.9, "b": 0.4},
    "candidates": 2,
    "profiling": {"sets": ["heads"]},
    "alignments": {
        "own": {
            "selection": "top",
            "training": ["train"],
            "validation": "valid",
            "document_tokens": 16,
        }
    },
    "methods": {
        "core": {"kind": "attention", "heads": "core", "adapter": "own"},
        "bm25": {"kind": "first-stage"},
    },
    "evaluation": {"measures": ["nDCG@10"], "comparisons": [["core", "bm25"]]},
}
CELL = {"set": "exam", "model": "tiny", "adapter": "own-1", "order": "shuffled", "method": "core"}
RUN = "results/runs/exam/tiny/own-1/shuffled/core.run"
READING = "results/readings/exam/tiny/own-1/shuffled/0.npz"
ADAPTER = "results/adapters/tiny/own-1"
COMMAND = "snakemake --cores all --configfile config/mine.yaml"
QUERIES = "results/sets/exam/queries.jsonl"
COLLECTION = "resources/collections/food/collection.json"


def card(folder, file, name):
    """Write a card with the file's hash; return its path."""
    write_json(folder / name, {"source": {"kind": "test"}, "sha256": {file: sha256(folder / file)}})
    return f"{folder.as_posix()}/{name}"


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


def host(**packages):
    """Return this machine, with packages made up."""
    return Host(git=None, machine=machine(), packages=packages or {"numpy": "2"})


def described(config=CONFIG, made_from=None, *, models=None, collections=None, on=None):
    """Return the metadata of the run, as a rule: made from nothing, by a model without card."""
    collections = collections or {"food": COLLECTION}
    shared = Shared(config, COMMAND, on or host(), models or {}, collections)
    return run_metadata(shared, CELL, RUN, QUERIES, made_from or {})


def note(cards):
    """Write the manifest of what lies in results."""
    wanted = [RUN, metadata_path(RUN), f"{ADAPTER}/headrank.json"]
    files = Files(**cards, results=wanted, runs={RUN: QUERIES}, folder="results")
    write_json("results/manifest.json", manifest(CONFIG, files, host()))


def test_a_manifest_lists_every_file_once(work):
    known = read_json("results/manifest.json")
    assert set(known["results"]) == {RUN, metadata_path(RUN), f"{ADAPTER}/headrank.json"}
    assert set(known["others"]) == {
        READING,
        f"{ADAPTER}/adapter_model.safetensors",
        "results/sets/exam/queries.jsonl",
        "results/sets/exam/set.json",
    }
    assert known["failures"] == {RUN: ["q2"]}
    assert known["dropped_queries"] == {"exam": {"q3": "heads"}}
    assert known["unaligned_adapters"] == [ADAPTER]
    assert known["prompt_sha256"] == prompt_digest({"document_tokens": 24})
    assert known["alignment_prompts_sha256"] == {"own": prompt_digest({"document_tokens": 16})}
    assert known["weights"] == {"tiny": {"dtype": "float32", "device": "cpu"}}
    assert known["config_sha256"] == json_sha256(CONFIG)
    assert known["reading_packages"] == [{"torch": "2.13.0"}]
    assert known["git"] is None


@pytest.mark.parametrize(
    "named, known",
    [
        ("abc123", {"commit": "abc123", "dirty": False}),
        ("abc123-dirty", {"commit": "abc123", "dirty": True}),
        ("", None),
    ],
)
def test_where_no_git_is_the_environment_names_the_commit(tmp_path, monkeypatch, named, known):
    monkeypatch.setenv("HEADRANK_COMMIT", named)
    assert git_state(tmp_path) == known


def test_a_user_s_own_data_beside_the_code_is_no_changed_code(tmp_path):
    def git(*arguments):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True, capture_output=True)

    git("init")
    for name in ("headrank/x.py", "Snakefile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-m", "first")
    (tmp_path / "data/mine").mkdir(parents=True)
    (tmp_path / "data/mine/qrels.tsv").write_text("q 0 d 1")
    (tmp_path / "mine.yaml").write_text("seed: 1")
    assert git_state(tmp_path)["dirty"] is False
    # A module that git does not know is imported all the same.
    (tmp_path / "headrank/new.py").write_text("2")
    assert git_state(tmp_path)["dirty"] is True
    (tmp_path / "headrank/new.py").unlink()
    (tmp_path / "Snakefile").write_text("2")
    assert git_state(tmp_path)["dirty"] is True


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert json_sha256({"a": 1, "b": [2]}) == json_sha256({"b": [2], "a": 1})
    assert json_sha256({"a": 1}) != json_sha256({"a": 2})


def test_a_prompt_s_digest_holds_its_defaults():
    default = asdict(PromptOptions())
    assert prompt_digest({}) == prompt_digest(default) == prompt_digest({"rows": default["rows"]})
    assert prompt_digest({}) != prompt_digest({"header": default["header"] + " "})


def test_clocks_states_and_names_with_a_dot_are_no_results(work):
    for name in ("benchmarks/x.jsonl", "checkpoints/y", "report.html", ".runs.part", "sets/.z"):
        path = work / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert len(result_files("results")) == 7


def test_untouched_results_are_sound(work, capsys):
    found = verify_results(work / "results")
    assert found.sound and not found.absent
    assert found.checked == 7 + 2
    assert main(["verify", str(work / "results")]) == 0
    assert "9 files are as noted" in capsys.readouterr().out


def test_results_may_be_moved_without_their_resources(work, tmp_path):
    moved = tmp_path / "elsewhere/kept"
    shutil.copytree(work / "results", moved)
    found = verify_results(moved)
    assert found.sound
    assert found.checked == 7
    assert [line.split(" (")[1] for line in found.absent] == ["model tiny)", "collection food)"]


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


CHANGES = {
    "run": (RUN, "core.run: SHA-256 is"),
    "metadata": (metadata_path(RUN), "the manifest notes"),
    "reading": (READING, "0.npz: SHA-256 is"),
    "adapter": (f"{ADAPTER}/adapter_model.safetensors", "not the one in the adapter's card"),
    "weights": ("resources/models/tiny/model.safetensors", "headrank.json notes"),
    "corpus": ("resources/collections/food/corpus.jsonl", "collection.json notes"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_flipped_bit_is_found_wherever_it_is(work, name, capsys):
    path, message = CHANGES[name]
    flip(work / path)
    found = verify_results("results")
    assert any(message in line for line in found.changed), found.changed
    assert main(["verify", "results"]) == 1
    out, err = capsys.readouterr()
    assert "changed  " in out and "run `snakemake" in err


def test_a_missing_and_an_unlisted_file_are_named(work, capsys):
    (work / RUN).unlink()
    (work / "results/tables").mkdir()
    (work / "results/tables/mine.csv").write_text("x")
    assert main(["verify", "results"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"missing  {RUN}", "unlisted  results/tables/mine.csv"]
    assert "1 missing, 0 changed, 1 unlisted" in err


def test_a_manifest_written_over_other_weights_is_noticed(work):
    """Each file is as listed, but a reading and an adapter belong to an older model."""
    model = work / "resources/models/tiny"
    (model / "model.safetensors").write_text("second\n")
    cards = {
        "models": {"tiny": card(model, "model.safetensors", "headrank.json")},
        "collections": {"food": COLLECTION},
    }
    note(cards)
    found = verify_results("results")
    assert len(found.changed) == 2
    assert all("other weights" in line for line in found.changed)


def test_a_config_edited_in_the_manifest_is_noticed(work):
    known = read_json("results/manifest.json")
    known["config"]["seed"] = 14
    write_json("results/manifest.json", known)
    assert "config has another digest" in verify_results("results").changed[0]


def test_what_is_no_manifest_is_refused(work):
    with refused("no such file", "snakemake --cores all"):
        verify_results(work / "resources")
    known = read_json("results/manifest.json")
    write_json("results/manifest.json", {**known, "format": 1})
    with refused("manifest format 1", "forcerun manifest"):
        verify_results("results")
    write_json("results/manifest.json", {**known, "others": {"results/../../etc/hosts": "0"}})
    with refused("no path inside a results"):
        verify_results("results")


def test_of_a_partial_manifest_other_files_are_no_fault(work):
    """In an object store the job that writes it is brought what it asks for."""
    write_json("results/manifest.json", read_json("results/manifest.json") | {"partial": True})
    (work / "results/profiles").mkdir()
    (work / "results/profiles/profile.csv").write_text("a\n")
    found = verify_results("results")
    assert found.sound and found.unlisted == ["results/profiles/profile.csv"]
    (work / READING).write_bytes(b"changed")
    assert not verify_results("results").sound


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
