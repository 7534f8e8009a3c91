"""Readings of a job that was killed: it goes on behind them, to the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from headrank.collections.set_files import save_set
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.models.card import record_model
from headrank.models.versions import versions
from headrank.options.prompt import PromptOptions
from headrank.reading import unfinished
from headrank.reading.lists import read_lists
from headrank.reading.prompt import PromptBuilder
from headrank.reading.readings import ReadingFile, save_readings
from headrank.reading.recording import ReadOptions
from headrank.reading.sliding_window import provenance
from headrank.reading.unfinished import Unfinished
from tests.helpers import models
from tests.helpers import tiny_models as tiny
from tests.helpers.scripts import script
from tests.unit.reading.test_readings import equal

MODEL = "mistral-window"  # its readings hold all that one may
KEPT = ReadOptions(keep_tokens=True, keep_max_logits=True)


def corrected_config(text: str) -> str:
    config = json.loads(text)
    config["rope_parameters"]["rope_theta"] = 5000.0
    return json.dumps(config)


def corrected_tokenizer(text: str) -> str:
    state = json.loads(text)
    state["normalizer"] = {"type": "Lowercase"}
    return json.dumps(state)


CORRECTIONS = (("config.json", corrected_config), ("tokenizer.json", corrected_tokenizer))


def lists():
    one = models.candidates()
    return [replace(one, query_id=f"q{number}", query=f"what pays {number}") for number in range(5)]


def read(folder: Path, chosen=None, made=None, options=KEPT, tokenizer="a"):
    """Read lists as the workflow's job does; return how many were read anew."""
    model = models.loaded(MODEL, sliding_window=150)
    chosen = lists() if chosen is None else chosen
    builder = PromptBuilder(model.tokenizer, PromptOptions(), model.context)
    made = {"model": "tiny", "gpu": None, "git": "a", **provenance(model)} | (made or {})
    begun = Unfinished(folder / "begun", made, chosen, options, {"tokenizer": tokenizer})
    done = begun.load()
    rest = chosen[len(done) :]
    fresh = read_lists(model, builder, rest, options, label=None)
    readings = [*done, *begun.kept(fresh, len(done))]
    save_readings(folder / "0.npz", readings, {**made, "git": "a"})
    begun.remove()
    return len(rest)


class Killed(Exception):
    pass


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(unfinished, "EVERY", 0.0)


def kill_before(monkeypatch, name: str, built: int = 2):
    """Let the reading of one list fail, when its prompt is built for so many times."""
    whole = PromptBuilder.build

    def build(self, candidates, *args, **kwargs):
        # Every prompt is built once before the first is read.
        seen[candidates.query_id] = seen.get(candidates.query_id, 0) + 1
        if candidates.query_id == name and seen[name] == built:
            raise Killed
        return whole(self, candidates, *args, **kwargs)

    seen: dict[str, int] = {}
    monkeypatch.setattr(PromptBuilder, "build", build)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    read(folder)
    return (folder / "0.npz").read_bytes()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("number", range(5))
def test_a_job_killed_at_any_list_goes_on_to_the_same_bytes(
    unbroken, tmp_path, monkeypatch, number, caplog
):
    with monkeypatch.context() as patch:
        kill_before(patch, f"q{number}")
        with pytest.raises(Killed):
            read(tmp_path)
    assert not (tmp_path / "0.npz").exists()
    with caplog.at_level("INFO"):
        assert read(tmp_path) == 5 - number
    assert (f"{number} of 5 lists were read before" in caplog.text) == (number > 0)
    assert (tmp_path / "0.npz").read_bytes() == unbroken
    assert not (tmp_path / "begun").exists()


def test_files_come_from_time_to_time_and_hold_what_came_since(tmp_path, monkeypatch):
    clock = iter([0, 20, 61, 61, 90, 125, 125, 130])
    monkeypatch.setattr(unfinished.time, "monotonic", lambda: next(clock))
    model = models.loaded(MODEL, sliding_window=150)
    builder = PromptBuilder(model.tokenizer, PromptOptions(), model.context)
    begun = Unfinished(tmp_path, provenance(model), lists(), KEPT, {})
    found = list(begun.kept(read_lists(model, builder, lists(), KEPT, label=None)))
    parts = sorted(begun.folder.iterdir())
    assert [part.name for part in parts] == ["00000000.npz", "00000002.npz"]
    assert [len(ReadingFile(part)) for part in parts] == [2, 2]
    for one, other in zip(begun.load(), found[:4], strict=True):
        equal(one, other)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("what", ["settings", "kept", "model", "threads", "texts", "gpu"])
def test_readings_of_other_settings_or_texts_are_never_taken(tmp_path, monkeypatch, what):
    with monkeypatch.context() as patch:
        kill_before(patch, "q3")
        with pytest.raises(Killed):
            read(tmp_path)
    chosen = lists()
    if what == "settings":
        assert read(tmp_path, made={"model": "other"}) == 5
    elif what == "kept":
        assert read(tmp_path, options=replace(KEPT, keep_tokens=False)) == 5
    elif what == "model":
        assert read(tmp_path, tokenizer="b") == 5
    elif what == "threads":
        torch.set_num_threads(torch.get_num_threads() + 1)
        assert read(tmp_path) == 5
    elif what == "texts":
        chosen[4] = replace(chosen[4], query="another query")
        assert read(tmp_path, chosen) == 5
    else:  # another GPU or commit of the same code goes on
        assert read(tmp_path, made={"gpu": {"name": "another"}, "git": "b"}) == 2
    assert not (tmp_path / "begun").exists()


@pytest.mark.usefixtures("always")
def test_a_lost_or_damaged_file_is_told(tmp_path, monkeypatch):
    kill_before(monkeypatch, "q3")
    with pytest.raises(Killed):
        read(tmp_path)
    first, second, _ = sorted((tmp_path / "begun").rglob("*.npz"))
    whole = second.read_bytes()
    second.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HeadRankError, match=r"the reading is damaged .*; delete it and read again"):
        read(tmp_path)
    second.write_bytes(whole)
    first.unlink()
    with pytest.raises(HeadRankError, match="a file of unfinished readings is lost; delete the"):
        read(tmp_path)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    "changes",
    [{}, {"batch_tokens": 300}, {"encode_once": True, "prompt": {"layout": "block"}}],
)
def test_the_workflow_s_job_goes_on_where_each_list_is_read_alone(
    tmp_path, monkeypatch, caplog, changes
):
    model = tmp_path / "model"
    shutil.copytree(tiny.folder("qwen3"), model)
    record_model(model, {"kind": "random"})
    run = Run.from_scores({one.query_id: {d: 0.0 for d in one.doc_ids} for one in lists()})
    save_set(tmp_path / "set", lists(), run, Qrels({}))

    def job(name):
        script("read_set").main(
            tmp_path / "set", model, str(tmp_path / f"{name}.npz"), tmp_path / "begun",
            **{
                "weights": {"dtype": "float32", "device": "cpu"}, "prompt": {}, "layers": None,
                "adapter": None, "order": "shuffled", "seed": 13, "shard": 0, "shards": 1,
                "calibrate": True, "tokens": "all", "max_logits": False, "threads": 1,
                "encode_once": False, "batch_tokens": "auto", "code": "digest", **changes,
            },
        )  # fmt: skip

    job("unbroken")
    with monkeypatch.context() as patch:
        kill_before(patch, "q3", 1 if "batch_tokens" in changes else 2)
        with pytest.raises(Killed):
            job("killed")
    with caplog.at_level("INFO"):
        job("killed")
    assert ("3 of 5 lists were read before" in caplog.text) == (not changes)
    whole = [(tmp_path / f"{name}.npz").read_bytes() for name in ("unbroken", "killed")]
    assert whole[0] == whole[1] and not (tmp_path / "begun").exists()
    made = ReadingFile(tmp_path / "killed.npz").meta["provenance"]
    assert made.get("batch_tokens") == changes.get("batch_tokens")
    assert made["versions"] == versions()  # of all packages that decide a number
    if changes:
        return
    # A model corrected in between is read from the start: its config, then its tokenizer.
    for name, correct in CORRECTIONS:
        with monkeypatch.context() as patch:
            kill_before(patch, "q3")
            with pytest.raises(Killed):
                job("corrected")
        file = model / name
        file.write_text(correct(file.read_text()))
        record_model(model, {"kind": "random"})
        caplog.clear()
        with caplog.at_level("INFO"):
            job("corrected")
        assert "were read before" not in caplog.text


def test_kill_9_leaves_whole_files_to_go_on_from(unbroken, tmp_path):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from headrank.reading import unfinished\n"
        "from tests.unit.reading import test_unfinished as job\n"
        "unfinished.EVERY = 0.0\n"
        "whole = job.PromptBuilder.build\n"
        "count = [0]\n"
        "def build(self, *args, **kwargs):\n"
        "    count[0] += 1\n"
        "    if count[0] == 9:  # the fourth list is to be read\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return whole(self, *args, **kwargs)\n"
        "job.PromptBuilder.build = build\n"
        "job.read(Path(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert read(tmp_path) == 2
    assert (tmp_path / "0.npz").read_bytes() == unbroken
