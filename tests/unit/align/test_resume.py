"""Killed alignments: wherever it happens, the resumed run ends in the same bytes."""

import copy
import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import normalizers

from headrank.align import train
from headrank.align.lists import Judged
from headrank.align.pairs import PairSet
from headrank.align.places import MADE, Folders
from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.reading.prompt import PromptBuilder
from tests.helpers import models
from tests.helpers.alignment import HEADS, OPTIONS, Killed, contents, inputs, run


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "adapter"
    run(folder)
    return contents(folder)


@pytest.mark.parametrize("step", range(9))
def test_a_run_killed_at_any_step_resumes_to_the_same_bytes(unbroken, tmp_path, monkeypatch, step):
    with monkeypatch.context() as patch:
        whole = train.Training.take_step

        def take_step(self, chosen):
            if self.progress.total == step:
                raise Killed
            whole(self, chosen)

        patch.setattr(train.Training, "take_step", take_step)
        with pytest.raises(Killed):
            run(tmp_path / "a", checkpoint=tmp_path / "c")
    assert not (tmp_path / "a").exists()
    steps = []
    whole = train.Training.take_step
    monkeypatch.setattr(
        train.Training, "take_step", lambda self, chosen: (steps.append(1), whole(self, chosen))
    )
    run(tmp_path / "a", checkpoint=tmp_path / "c")
    assert contents(tmp_path / "a") == unbroken
    # It went on from the last checkpoint (every second step, and the end of an epoch of 3).
    done = max((end for end in (2, 3, 4, 6, 8) if end <= step), default=0)
    assert len(steps) == 9 - done
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_a_run_killed_between_any_two_files_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    """Before every rename and removal that a run makes, and after the last."""
    options = replace(OPTIONS, epochs=2, batch=5, checkpoint_every=1)
    run(tmp_path / "unbroken", options)
    unbroken = contents(tmp_path / "unbroken")
    originals = {"replace": (os, os.replace), "unlink": (Path, Path.unlink)}
    for number in itertools.count():
        target, checkpoint = tmp_path / f"a{number}", tmp_path / f"c{number}"
        calls = itertools.count()

        def killing(original, calls=calls, number=number):
            def call(*args, **kwargs):
                if next(calls) == number:
                    raise Killed
                return original(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for name, (owner, original) in originals.items():
                patch.setattr(owner, name, killing(original))
            try:
                run(target, options, checkpoint)
            except Killed:
                pass
            else:
                break
        run(target, options, checkpoint)
        assert contents(target) == unbroken
    assert contents(target) == unbroken
    assert number > 15


@pytest.mark.slow
def test_sigkill_leaves_a_checkpoint_to_go_on_from(unbroken, tmp_path):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.helpers import alignment\n"
        "whole = alignment.train.Training.take_step\n"
        "def take_step(self, chosen):\n"
        "    if self.progress.total == 5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    whole(self, chosen)\n"
        "alignment.train.Training.take_step = take_step\n"
        "folder = Path(sys.argv[1])\n"
        "alignment.run(folder / 'a', checkpoint=folder / 'c')\n"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    run(tmp_path / "a", checkpoint=tmp_path / "c")
    assert contents(tmp_path / "a") == unbroken


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """Return the checkpoint of a run killed at its fifth step."""
    with monkeypatch.context() as patch:
        whole = train.Training.take_step

        def take_step(self, chosen):
            if self.progress.total == 4:
                raise Killed
            whole(self, chosen)

        patch.setattr(train.Training, "take_step", take_step)
        with pytest.raises(Killed):
            run(tmp_path / "a", checkpoint=tmp_path / "c")
    return tmp_path / "c"


def test_a_checkpoint_of_other_settings_is_refused(interrupted, tmp_path):
    message = (
        "checkpoint was written with other settings, heads, data, model, code or package versions"
    )
    (reader, data), settings = inputs()
    (lists, qrels), pairs, held = data.training, data.pairs, data.validation
    last = pairs.pairs[-1]
    other_document = "d4" if last.rejected == "d5" else "d5"
    swapped = PairSet((*pairs.pairs[:-1], replace(last, rejected=other_document)))
    texts = [replace(lists[0], query="what else"), *lists[1:]]
    graded = Qrels({**qrels.grades, "q0": {"d0": 1, "d1": 3}})
    other = PromptBuilder(models.tokenizer(), PromptOptions(document_tokens=23))
    for read, seen, more in (
        ({}, {}, {"options": replace(OPTIONS, beta=2.0)}),
        ({}, {}, {"seed": 4}),
        ({}, {"validation": Judged(held.lists[:1], held.qrels)}, {}),
        ({}, {"pairs": swapped}, {}),
        ({}, {"training": Judged(texts, qrels)}, {}),
        ({}, {"training": Judged(lists, graded)}, {}),
        ({"heads": HeadSet(HEADS.heads[:2])}, {}, {}),
        ({"builder": other}, {}, {}),
        ({}, {}, {"provenance": {"code": "changed"}}),
    ):
        fresh = replace(reader, model=models.loaded("llama", num_hidden_layers=3), **read)
        folders = Folders(tmp_path / "a", interrupted)
        with pytest.raises(HeadRankError, match=message):
            train.align(fresh, replace(data, **seen), folders, **settings | more)
    lower = models.loaded("llama", num_hidden_layers=3)
    lower.tokenizer = copy.deepcopy(lower.tokenizer)
    lower.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    # Corrected in its folder between the kill and now; the weights are the same.
    for model in (models.loaded("llama", num_hidden_layers=3, rms_norm_eps=1e-3), lower):
        with pytest.raises(HeadRankError, match=message):
            train.align(
                replace(reader, model=model), data, Folders(tmp_path / "a", interrupted), **settings
            )
    # How often it is written is no setting of the result.
    run(tmp_path / "a", replace(OPTIONS, checkpoint_every=5), checkpoint=interrupted)


@pytest.mark.parametrize("damage", ["flip", "missing", "json"])
def test_a_damaged_checkpoint_is_refused(interrupted, tmp_path, damage):
    (path,) = interrupted.glob("*.safetensors")
    data = path.read_bytes()
    if damage == "flip":
        path.write_bytes(data[:-5] + bytes([data[-5] ^ 4]) + data[-4:])
    elif damage == "missing":
        path.unlink()
    else:
        (interrupted / "checkpoint.json").write_text("{")
    with pytest.raises(HeadRankError, match=r"checkpoint is damaged; delete|not valid JSON"):
        run(tmp_path / "a", checkpoint=interrupted)


def test_a_checkpoints_end_takes_its_own_files_alone(unbroken, tmp_path):
    """A user's folder, with weights and a file that is named as earlier versions' tensors."""
    mine = {"thesis.tex": "years", "model.safetensors": "weights", "0001-00000002.safetensors": "x"}
    folder = tmp_path / "work"
    folder.mkdir()
    for name, text in mine.items():
        (folder / name).write_text(text)
    run(tmp_path / "a", checkpoint=folder)
    assert contents(tmp_path / "a") == unbroken
    assert {path.name: path.read_text() for path in folder.iterdir()} == mine
    (tmp_path / "empty").mkdir()
    run(tmp_path / "b", checkpoint=tmp_path / "empty")
    assert (tmp_path / "empty").is_dir() and not any((tmp_path / "empty").iterdir())


def test_a_users_files_outlast_a_kill(interrupted, tmp_path):
    (interrupted / "notes").write_text("mine")
    (interrupted / ".checkpoint.json.abcd1234.part").write_text("left by a kill")
    run(tmp_path / "a", checkpoint=interrupted)
    assert {path.name: path.read_text() for path in interrupted.iterdir()} == {"notes": "mine"}


def test_a_checkpoint_of_an_earlier_version_goes_on(unbroken, interrupted, tmp_path):
    (path,) = interrupted.glob("*.safetensors")
    state = json.loads((interrupted / "checkpoint.json").read_text())
    state["tensors"] = path.name.removeprefix("alignment-")
    path.rename(interrupted / state["tensors"])
    (interrupted / MADE).unlink()
    (interrupted / "checkpoint.json").write_text(json.dumps(state))
    run(tmp_path / "a", checkpoint=interrupted)
    assert contents(tmp_path / "a") == unbroken
    assert not any(interrupted.iterdir())


@pytest.mark.parametrize(
    ("target", "checkpoint"),
    [("a", "a"), ("a/b", "a"), ("a", "a/b"), ("a", "x/../a/b"), ("link/a", "real/a/c"), ("a", ".")],
)
def test_folders_in_each_other_are_refused_before_training(
    tmp_path, monkeypatch, target, checkpoint
):
    monkeypatch.setattr(train.Training, "take_step", None)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(HeadRankError, match="are one or lie in each other"):
        run(tmp_path / target, checkpoint=tmp_path / checkpoint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_state_of_another_program_is_refused_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(train.Training, "take_step", None)
    for text in ('{"epoch": 3}', "[]", '{"fingerprint": "", "tensors": "../x", "sha256": ""}'):
        (tmp_path / "checkpoint.json").write_text(text)
        with pytest.raises(HeadRankError, match="not a checkpoint of alignment; give the"):
            run(tmp_path.parent / "adapter", checkpoint=tmp_path)
        assert (tmp_path / "checkpoint.json").read_text() == text
    with pytest.raises(HeadRankError, match="is a file; give the checkpoint a folder"):
        run(tmp_path.parent / "adapter", checkpoint=tmp_path / "checkpoint.json")


def test_an_adapter_is_written_over_no_file_of_a_users(tmp_path, monkeypatch):
    run(tmp_path / "a")
    monkeypatch.setattr(train.Training, "take_step", None)
    (tmp_path / "a/notes").write_text("mine")
    with pytest.raises(HeadRankError, match=r"did not write \(notes\)"):
        run(tmp_path / "a")
    assert (tmp_path / "a/notes").read_text() == "mine"
