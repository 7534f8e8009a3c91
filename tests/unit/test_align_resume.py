"""Killed alignments: wherever it happens, the resumed run ends in the same bytes."""

import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import models
import pytest
from alignment import HEADS, OPTIONS, Killed, contents, inputs, run

from headrank.align import train
from headrank.errors import HeadRankError
from headrank.heads import HeadSet
from headrank.pairs import PairSet
from headrank.prompt import PromptBuilder, PromptOptions
from headrank.trec import Qrels


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


def test_sigkill_leaves_a_checkpoint_to_go_on_from(unbroken, tmp_path):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import alignment\n"
        "whole = alignment.train.Training.take_step\n"
        "def take_step(self, chosen):\n"
        "    if self.progress.total == 5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    whole(self, chosen)\n"
        "alignment.train.Training.take_step = take_step\n"
        "folder = Path(sys.argv[1])\n"
        "alignment.run(folder / 'a', checkpoint=folder / 'c')\n"
    )
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[1])])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": paths},
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
    message = "checkpoint was written with other settings, heads, data, code or package versions"
    args, settings = inputs()
    _, builder, heads, lists, qrels, pairs = args
    last = pairs.pairs[-1]
    other_document = "d4" if last.rejected == "d5" else "d5"
    swapped = PairSet((*pairs.pairs[:-1], replace(last, rejected=other_document)))
    texts = [replace(lists[0], query="what else"), *lists[1:]]
    graded = Qrels({**qrels.grades, "q0": {"d0": 1, "d1": 3}})
    other = PromptBuilder(models.tokenizer(), PromptOptions(document_tokens=23))
    fewer = {"validation": settings["validation"][:1]}
    for changed, more in (
        ((builder, heads, lists, qrels, pairs), {"options": replace(OPTIONS, beta=2.0)}),
        ((builder, heads, lists, qrels, pairs), {"seed": 4}),
        ((builder, heads, lists, qrels, pairs), fewer),
        ((builder, heads, lists, qrels, swapped), {}),
        ((builder, heads, texts, qrels, pairs), {}),
        ((builder, heads, lists, graded, pairs), {}),
        ((builder, HeadSet(HEADS.heads[:2]), lists, qrels, pairs), {}),
        ((other, heads, lists, qrels, pairs), {}),
        ((builder, heads, lists, qrels, pairs), {"provenance": {"code": "changed"}}),
    ):
        fresh = models.loaded("llama", num_hidden_layers=3)
        with pytest.raises(HeadRankError, match=message):
            train.align(fresh, *changed, tmp_path / "a", checkpoint=interrupted, **settings | more)
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
