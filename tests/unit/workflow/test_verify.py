"""Results are traced by their manifest, and hashing them again finds every change."""

import shutil
import subprocess
from dataclasses import asdict

import pytest

from headrank.cli import main
from headrank.io.files import json_sha256, read_json, write_json
from headrank.options.prompt import PromptOptions
from headrank.workflow.provenance.manifest import (
    prompt_digest,
    result_files,
)
from headrank.workflow.provenance.process import git_state
from headrank.workflow.provenance.run_metadata import (
    metadata_path,
)
from headrank.workflow.provenance.verify import verify_results
from tests.helpers.expected_errors import refused
from tests.helpers.finished_run import ADAPTER, COLLECTION, CONFIG, READING, RUN, card, note


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


def test_a_checkout_that_git_cannot_read_is_told(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("HEADRANK_COMMIT", raising=False)
    assert git_state(tmp_path) is None and not caplog.records
    subprocess.run(["git", "init", tmp_path], check=True, capture_output=True)
    assert git_state(tmp_path) is None  # there is no commit yet
    assert (
        "git does not tell the commit (fatal: " in caplog.text and "HEADRANK_COMMIT" in caplog.text
    )


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
