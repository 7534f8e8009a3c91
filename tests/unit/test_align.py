"""Alignment: the training-time reading, gradients, and runs that are killed and resumed."""

import itertools
import json
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import models
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from headrank.align import train
from headrank.align.adapter import add_adapter, load_adapter, save_adapter
from headrank.align.data import pair_lists, shuffled, trim, trim_all
from headrank.align.forward import selected_mass
from headrank.align.losses import relevance
from headrank.align.mine import mine_with_model
from headrank.align.options import AlignOptions
from headrank.align.validate import validation_ndcg
from headrank.errors import HeadRankError
from headrank.heads import Head, HeadSet, every_head
from headrank.lists import CandidateList, Passage, arrange, query_generator
from headrank.models import load_model
from headrank.pairs import Pair, PairOptions, PairSet
from headrank.prompt import PromptBuilder, PromptOptions
from headrank.reader import read_prompt
from headrank.trec import Qrels

HEADS = HeadSet((Head(2, 3), Head(1, 0), Head(2, 1)))
WORDS = ("house", "night", "age", "month", "car", "sun", "soil", "rich", "term", "loan")


# --- the training-time reading ---------------------------------------------------------


@pytest.mark.parametrize("lora", [False, True], ids=["plain", "lora"])
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_selected_mass_equals_the_reading(architecture, lora):
    model = models.loaded(architecture)
    prompt = models.random_prompt(documents=6)
    if lora:
        models.with_adapter(model, HEADS)
    expected = read_prompt(model, prompt)[0].documents
    got = selected_mass(model, prompt, HEADS).detach().numpy()
    # Rows are in the order of layers and heads, not of the selection.
    order = sorted(HEADS.pairs)
    np.testing.assert_allclose(got, [expected[layer, head] for layer, head in order], atol=1e-5)


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_gradients_reach_every_adapter_up_to_the_deepest_head_and_nothing_else(architecture):
    model = models.loaded(architecture)
    wrapped = models.with_adapter(model, HEADS)
    calls = []
    model.decoder.layers[2].mlp.register_forward_hook(lambda *_: calls.append("mlp 2"))
    model.decoder.layers[3].register_forward_pre_hook(lambda *_: calls.append("layer 3"))
    mass = selected_mass(model, models.random_prompt(documents=6), HEADS)
    relevance(mass).var().backward()
    assert not calls
    reached = {n for n, p in wrapped.named_parameters() if p.grad is not None and p.grad.any()}
    expected = {
        f"base_model.model.layers.{layer}.self_attn.{part}_proj.lora_{side}.default.weight"
        for layer in range(HEADS.deepest + 1)
        for part in "qk"
        for side in "AB"
    }
    assert reached == expected
    trainable = {n for n, p in wrapped.named_parameters() if p.requires_grad}
    assert trainable == expected


def test_gradients_agree_with_finite_differences():
    model = models.loaded("qwen3")
    wrapped = models.with_adapter(model, HEADS)
    model.decoder.double()
    prompt = models.random_prompt()
    parameters = [p for p in wrapped.parameters() if p.requires_grad]
    weights = torch.rand(5, dtype=torch.float64)

    def value():
        return (relevance(selected_mass(model, prompt, HEADS)) * weights).sum()

    value().backward()
    for parameter in parameters[::3]:
        with torch.no_grad():
            place = int(parameter.grad.abs().argmax())
            flat, step = parameter.view(-1), 1e-3
            # Masses are summed in float32: a small step would drown.
            flat[place] += step
            above = float(value())
            flat[place] -= 2 * step
            below = float(value())
            flat[place] += step
        slope = (above - below) / (2 * step)
        assert slope == pytest.approx(float(parameter.grad.view(-1)[place]), rel=0.05, abs=1e-3)


def test_a_fresh_adapter_changes_nothing_and_depends_on_the_seed_only():
    prompt = models.random_prompt()
    plain = read_prompt(models.loaded(), prompt)[0].documents
    states = []
    for seed in (1, 1, 2):
        torch.rand(seed + 3)  # the caller's draws do not matter
        model = models.loaded()
        wrapped = add_adapter(model, HEADS, rank=4, alpha=8, dropout=0.0, seed=seed)
        np.testing.assert_array_equal(read_prompt(model, prompt)[0].documents, plain)
        states.append([p.detach().clone() for p in wrapped.parameters() if p.requires_grad])
    assert all(torch.equal(a, b) for a, b in zip(states[0], states[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(states[0], states[2], strict=True))


def test_a_second_adapter_is_refused():
    model = models.loaded()
    models.with_adapter(model, HEADS)
    with pytest.raises(HeadRankError, match="already carries an adapter; load the model again"):
        add_adapter(model, HEADS, rank=4, alpha=8, dropout=0.0, seed=0)


# --- adapters on disk ------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """Return a saved adapter with its reading of a prompt."""
    model = models.loaded()
    wrapped = models.with_adapter(model, HEADS)
    save_adapter(wrapped, tmp_path, HEADS, {"model_digest": model.digest})
    return tmp_path, read_prompt(model, models.random_prompt())[0].documents


def test_an_adapter_survives_its_folder(saved):
    folder, expected = saved
    model = models.loaded()
    assert load_adapter(model, folder) == HEADS
    got = read_prompt(model, models.random_prompt())[0].documents
    np.testing.assert_array_equal(got, expected)
    assert not any(p.requires_grad for p in model.decoder.parameters())
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "headrank.json",
        "heads.json",
    ]
    settings = json.loads((folder / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "tiny-llama"


def test_saving_asks_no_server_about_the_base_model(tmp_path, monkeypatch):
    model = models.loaded()
    wrapped = models.with_adapter(model, HEADS)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection was opened"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # peft only warns when its look-up fails
        save_adapter(wrapped, tmp_path, HEADS, {"model_digest": model.digest})


def test_an_adapter_fits_the_truncated_model(tmp_path):
    base = models.save(tmp_path / "model")
    whole = load_model(base)
    save_adapter(
        models.with_adapter(whole, HEADS), tmp_path / "a", HEADS, {"model_digest": whole.digest}
    )
    part = load_model(base, layers=HEADS.deepest + 1)
    load_adapter(part, tmp_path / "a", HEADS)
    prompt = models.random_prompt()
    np.testing.assert_array_equal(
        read_prompt(part, prompt)[0].documents, read_prompt(whole, prompt)[0].documents[:3]
    )
    # No path of this machine is written down.
    assert str(tmp_path) not in (tmp_path / "a" / "adapter_config.json").read_text()
    with pytest.raises(HeadRankError, match="layer 2, head 3 is selected, but the reading has 2"):
        load_adapter(load_model(base, layers=2), tmp_path / "a")


def test_an_adapter_of_another_base_is_refused(saved):
    with pytest.raises(
        HeadRankError, match=r"trained on weights llama-0, the model tiny-llama has llama-9; load"
    ):
        load_adapter(models.loaded(seed=9), saved[0])


@pytest.mark.parametrize("pairs", [((2, 3), (1, 0)), ((2, 3), (1, 0), (2, 1), (0, 0)), ((0, 0),)])
def test_an_adapter_of_other_heads_is_refused(saved, pairs):
    other = HeadSet(tuple(Head(*pair) for pair in pairs))
    with pytest.raises(HeadRankError, match=r"trained for heads \[\(1, 0\), .*use the adapter's"):
        load_adapter(models.loaded(), saved[0], other)
    load_adapter(models.loaded(), saved[0], HeadSet(HEADS.heads[::-1]))  # the order is free


def test_an_adapter_on_top_of_another_is_refused(saved):
    model = models.loaded()
    load_adapter(model, saved[0])
    with pytest.raises(HeadRankError, match="already carries an adapter"):
        load_adapter(model, saved[0])


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_damaged_adapter_is_refused(saved, name):
    path = saved[0] / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(HeadRankError, match=rf"{name}: SHA-256 is .*; align again"):
        load_adapter(models.loaded(), saved[0])
    path.unlink()
    with pytest.raises(HeadRankError, match=f"no {name}; give the folder that alignment wrote"):
        load_adapter(models.loaded(), saved[0])


def test_an_adapter_that_lacks_tensors_is_refused(saved):
    """peft would leave them as drawn and only warn."""
    path = saved[0] / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, path)
    with pytest.raises(HeadRankError, match="SHA-256 is"):
        load_adapter(models.loaded(), saved[0])


# --- training lists --------------------------------------------------------------------


def graded_list(grades, query_id="q"):
    names = tuple(f"d{i}" for i in range(len(grades)))
    qrels = Qrels({query_id: {n: g for n, g in zip(names, grades, strict=True) if g is not None}})
    return CandidateList(query_id, "why?", names, tuple(Passage("", n) for n in names)), qrels


@pytest.mark.parametrize(
    ("grades", "documents", "kept"),
    [
        ([0, 1, 0, 0, 2, None], 4, ["d0", "d1", "d2", "d4"]),
        ([1, 1, 1, 2, 0, 0], 4, ["d0", "d3", "d4", "d5"]),  # half relevant, the best grades first
        ([0, 0, 0, 0, 0, 3], 3, ["d0", "d1", "d5"]),  # the relevant one is never cut off
        ([2, 1, 3], 4, ["d0", "d2"]),  # no other document: still two grades
        ([0, -1, 1, None], 9, ["d0", "d1", "d2", "d3"]),
        ([1, 1, 1], 4, None),
        ([0, None, -2], 4, None),
    ],
)
def test_trimmed_lists(grades, documents, kept):
    one, qrels = graded_list(grades)
    trimmed = trim(one, qrels, documents)
    assert (None if trimmed is None else list(trimmed.doc_ids)) == kept
    if kept:
        assert [p.text for p in trimmed.passages] == kept
        assert trim_all([one, replace(one, query_id="unjudged")], qrels, documents) == [trimmed]
    else:
        with pytest.raises(HeadRankError, match="no training query has candidates of two grades"):
            trim_all([one], qrels, documents)


def test_each_epoch_shuffles_and_pairs_follow():
    one, qrels = graded_list([0, 1, 2, 0, 0, 0, 0, None])
    pairs = [Pair("q", "d2", "d1", 2, 1, 0.0, 5, 6), Pair("q", "d1", "d7", 1, 0, 0.0, 6, 1)]
    orders = set()
    for seed, epoch in itertools.product(range(2), range(3)):
        item = shuffled(one, qrels, pairs, seed, epoch)
        names = item.candidates.doc_ids
        orders.add(names)
        assert [names[i] for i in item.chosen] == ["d2", "d1"]
        assert [names[i] for i in item.rejected] == ["d1", "d7"]
        grades = dict(zip(names, item.grades.tolist(), strict=True))
        assert grades == {f"d{i}": g for i, g in enumerate([0, 1, 2, 0, 0, 0, 0, 0])}
        assert [p.text for p in item.candidates.passages] == list(names)
        assert shuffled(one, qrels, pairs, seed, epoch).candidates == item.candidates
    assert len(orders) == 6


def test_pairs_must_be_of_these_lists():
    one, _ = graded_list([0, 1])
    pair = Pair("q", "d1", "d0", 1, 0, 0.0, 1, 0)
    assert pair_lists([one, replace(one, query_id="x")], PairSet((pair,))) == [(one, [pair])]
    with pytest.raises(HeadRankError, match="query z has pairs but no training list; mine"):
        pair_lists([one], PairSet((replace(pair, query_id="z"),)))
    with pytest.raises(HeadRankError, match="query q: document d9 is in a pair but not in"):
        pair_lists([one], PairSet((replace(pair, rejected="d9"),)))
    with pytest.raises(HeadRankError, match="there is no pair to learn from"):
        pair_lists([one], PairSet(()))


# --- whole runs ------------------------------------------------------------------------


def task(count, first=0):
    """Return lists whose relevant documents (grades 1, 2) hold the word ``policy``, and qrels."""
    generator = np.random.default_rng(first)
    lists, grades = [], {}
    for number in range(first, first + count):
        texts = []
        for place in range(6):
            words = list(generator.choice(WORDS, size=5))
            if place < 2:
                words[1 : 3 + place] = ["policy"] * (2 + place)
            texts.append(" ".join(words))
        one = models.candidates(texts, query_id=f"q{number}")
        lists.append(one)
        grades[one.query_id] = {"d0": 1, "d1": 2, "d2": 0}
    return lists, Qrels(grades)


OPTIONS = AlignOptions(
    rank=4, alpha=8, learning_rate=0.02, epochs=3, batch=2, checkpoint_every=2, dropout=0.1
)


def inputs(options=OPTIONS, architecture="llama"):
    """Return everything ``align`` takes, on a fresh model of three layers."""
    model = models.loaded(architecture, num_hidden_layers=3)
    builder = PromptBuilder(models.tokenizer(), PromptOptions(document_tokens=24))
    lists, qrels = task(5)
    validation, validation_qrels = task(2, first=90)
    pairs = mine_with_model(model, builder, HEADS, lists, qrels, PairOptions(), 0, progress=False)
    return (model, builder, HEADS, lists, qrels, pairs), {
        "validation": validation,
        "validation_qrels": validation_qrels,
        "options": options,
        "seed": 3,
        "progress": False,
    }


def run(target, options=OPTIONS, checkpoint=None, **changes):
    args, settings = inputs(options)
    return train.align(*args, target, checkpoint=checkpoint, **settings | changes)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "adapter"
    run(folder)
    return contents(folder)


def test_training_lowers_the_loss(tmp_path):
    options = replace(OPTIONS, epochs=8, dropout=0.0, patience=8, checkpoint_every=99)
    validation = run(tmp_path / "a", options)
    log = pd.read_csv(tmp_path / "a" / "training.csv")
    epochs = log.groupby("epoch")[["loss", "misordered"]].mean()
    assert epochs["loss"].iloc[-1] < 0.7 * epochs["loss"].iloc[0]
    assert epochs["misordered"].iloc[-1] < epochs["misordered"].iloc[0]
    assert validation["ndcg@10"].max() > validation["ndcg@10"].iloc[0]
    assert len(log) == 24 and log["step"].tolist() == list(range(1, 25))
    np.testing.assert_allclose(log["loss"], log["preference"] + 0.5 * log["regulariser"], rtol=1e-5)
    # Linear warm-up over a tenth of the steps, then down to nearly nothing.
    rates = log["learning_rate"]
    assert rates[0] == pytest.approx(0.01) and rates.max() == pytest.approx(0.02)
    assert rates.iloc[-1] < 0.0003 and (rates.diff()[2:] <= 0).all()


def test_a_step_descends_the_mean_loss_of_its_batch(tmp_path, monkeypatch):
    options = replace(OPTIONS, epochs=1, batch=3, dropout=0.0, clip=0.25)
    limits = []
    clip = torch.nn.utils.clip_grad_norm_

    def noted(parameters, limit):
        limits.append(limit)
        return clip(parameters, limit)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", noted)
    run(tmp_path / "a", options)
    first = pd.read_csv(tmp_path / "a" / "training.csv").iloc[0]
    assert limits == [0.25, 0.25]
    (model, builder, heads, lists, qrels, pairs), settings = inputs(options)
    wrapped = add_adapter(model, heads, rank=4, alpha=8, dropout=0.0, seed=settings["seed"])
    matched = pair_lists(lists, pairs)
    one = train.Training(model, builder, heads, wrapped, matched, qrels, options, settings["seed"])
    order = query_generator(settings["seed"], "lists", "0").permutation(5)[:3]
    items = [shuffled(c, qrels, p, settings["seed"], 0) for c, p in (matched[i] for i in order)]
    loss = torch.stack([one.loss(item)["loss"] for item in items]).mean()
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in one.parameters if p.grad is not None]).norm()
    assert first["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert first["gradient_norm"] == pytest.approx(norm.item(), rel=1e-4)


def test_a_run_is_the_same_bytes_twice(unbroken, tmp_path):
    torch.rand(7)
    run(tmp_path / "again")
    again = contents(tmp_path / "again")
    assert again == unbroken
    assert set(again) == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "headrank.json",
        "heads.json",
        "training.csv",
        "validation.csv",
    }
    run(tmp_path / "other", seed=4)
    other = contents(tmp_path / "other")
    assert other["adapter_model.safetensors"] != again["adapter_model.safetensors"]


def test_the_adapter_on_disk_is_the_best_epochs(unbroken, tmp_path):
    for name, content in unbroken.items():
        (tmp_path / name).write_bytes(content)
    card = json.loads(unbroken["headrank.json"])
    table = pd.read_csv(tmp_path / "validation.csv")
    assert table["epoch"].tolist() == list(range(len(table)))
    best = table.loc[table["ndcg@10"].idxmax()]  # the first of equals
    assert card["best_epoch"] == best["epoch"] > 0
    assert card["validation_ndcg@10"] == best["ndcg@10"]
    (_, builder, *_), settings = inputs()
    model = models.loaded("llama", num_hidden_layers=3)
    load_adapter(model, tmp_path)
    lists, qrels = settings["validation"], settings["validation_qrels"]
    value = validation_ndcg(model, builder, HEADS, lists, qrels, settings["seed"])
    assert value == pytest.approx(best["ndcg@10"])
    assert (card["training_queries"], card["seed"]) == (5, 3)


class Killed(Exception):
    """Stands for a kill: nothing in the library catches it."""


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
        "import test_align\n"
        "whole = test_align.train.Training.take_step\n"
        "def take_step(self, chosen):\n"
        "    if self.progress.total == 5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    whole(self, chosen)\n"
        "test_align.train.Training.take_step = take_step\n"
        "folder = Path(sys.argv[1])\n"
        "test_align.run(folder / 'a', checkpoint=folder / 'c')\n"
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


def test_patience_ends_a_run_and_a_resumed_one(tmp_path, monkeypatch):
    options = replace(OPTIONS, epochs=6, patience=2)
    values = [0.5, 0.6, 0.4, 0.3, 0.9, 0.9, 0.9]
    asked = []

    def ndcg(model, *_):
        weights = model.decoder.layers[0].self_attn.q_proj.lora_B.default.weight
        asked.append(weights.detach().clone())
        return values[len(asked) - 1]

    monkeypatch.setattr(train, "validation_ndcg", ndcg)
    table = run(tmp_path / "a", options)
    assert table["ndcg@10"].tolist() == [0.5, 0.6, 0.4, 0.3]
    assert json.loads(contents(tmp_path / "a")["headrank.json"])["best_epoch"] == 1
    # The adapter is the best epoch's, not the last one's.
    name = "base_model.model.layers.0.self_attn.q_proj.lora_B.weight"
    kept = load_file(tmp_path / "a" / "adapter_model.safetensors")[name]
    assert [torch.equal(kept, weights) for weights in asked] == [False, True, False, False]
    # Killed when all is trained and only the folder is missing.
    asked.clear()
    with monkeypatch.context() as patch:
        patch.setattr(train.adapters, "save_adapter", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            run(tmp_path / "b", options, checkpoint=tmp_path / "c")
    run(tmp_path / "b", options, checkpoint=tmp_path / "c")
    assert contents(tmp_path / "b") == contents(tmp_path / "a")


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
    message = "checkpoint was written with other settings, heads or data; delete the folder"
    args, settings = inputs()
    _, builder, heads, lists, qrels, pairs = args
    last = pairs.pairs[-1]
    other_document = "d4" if last.rejected == "d5" else "d5"
    swapped = PairSet((*pairs.pairs[:-1], replace(last, rejected=other_document)))
    texts = [replace(lists[0], query="what else"), *lists[1:]]
    graded = Qrels({**qrels.grades, "q0": {"d0": 1, "d1": 2, "d3": 1}})
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


# --- what must not go unnoticed --------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, monkeypatch, value):
    loss = train.losses.preference_loss
    calls = itertools.count()

    def diverging(*args):
        return loss(*args) * (value if next(calls) == 4 else 1)

    monkeypatch.setattr(train.losses, "preference_loss", diverging)
    with pytest.raises(
        HeadRankError, match=r"step 3: loss (nan|inf), gradient norm .*Lower learning_rate \(now 0"
    ):
        run(tmp_path / "a", checkpoint=tmp_path / "c")
    assert not (tmp_path / "a").exists()
    # The checkpoint before is whole and finite.
    (path,) = (tmp_path / "c").glob("*.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in load_file(path).values())


def test_a_diverging_learning_rate_ends_the_run(tmp_path):
    with pytest.raises(HeadRankError, match="training diverged"):
        run(tmp_path / "a", replace(OPTIONS, learning_rate=1e30, dropout=0.0))


def test_heads_of_another_model_are_refused(tmp_path):
    args, settings = inputs()
    for heads, message in (
        (HeadSet((Head(3, 0),)), "layer 3, head 0 is selected, but the reading has 3 layers"),
        (replace(HEADS, provenance={"model_digest": "x"}), "selected on weights x"),
    ):
        with pytest.raises(HeadRankError, match=message):
            train.align(args[0], args[1], heads, *args[3:], tmp_path / "a", **settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": "frozen"},
        {"scale": "min-max"},
        {"regulariser": "middle-spread"},
        {"regulariser": "none"},
    ],
    ids=lambda changes: "-".join(changes.values()),
)
def test_every_form_of_the_loss_trains(unbroken, tmp_path, changes):
    options = replace(OPTIONS, epochs=1, **changes)
    run(tmp_path / "a", options)
    log = pd.read_csv(tmp_path / "a" / "training.csv")
    assert np.isfinite(log.to_numpy()).all()
    assert (log["regulariser"] == 0).all() == (changes.get("regulariser") == "none")
    if "reference" in changes:
        # The first step compares the frozen model with itself.
        assert log["preference"][0] == pytest.approx(np.log(2), abs=0.02)
    adapter = contents(tmp_path / "a")["adapter_model.safetensors"]
    assert adapter != unbroken["adapter_model.safetensors"]


def test_the_reference_is_the_frozen_model(tmp_path):
    """With B drawn, the adapter and the frozen model differ, and the loss must say so."""
    args, settings = inputs(replace(OPTIONS, reference="frozen", dropout=0.0))
    model, builder, heads, lists, qrels, pairs = args
    wrapped = models.with_adapter(model, HEADS)
    one = train.Training(
        model, builder, heads, wrapped, pair_lists(lists, pairs), qrels, settings["options"], 0
    )
    item = shuffled(lists[0], qrels, pairs.by_query()["q0"], 0, 0)
    parts = one.loss(item)
    prompt = builder.build(item.candidates, (item.candidates.query,))
    z = relevance(selected_mass(model, prompt, heads)).detach()
    frozen = relevance(selected_mass(models.loaded("llama", num_hidden_layers=3), prompt, heads))
    margins = (z - frozen)[item.chosen] - (z - frozen)[item.rejected]
    expected = torch.nn.functional.softplus(-margins).mean()
    assert float(parts["preference"]) == pytest.approx(float(expected), rel=1e-4)
    assert abs(float(expected) - np.log(2)) > 0.01
    misordered = (z[item.chosen] <= z[item.rejected]).float().mean()
    assert float(parts["misordered"]) == float(misordered)


# --- mining and validation with the model ----------------------------------------------


def test_mined_margins_are_those_of_the_shuffled_reading():
    (model, builder, heads, lists, qrels, pairs), _ = inputs()
    assert set(pairs.by_query()) == {one.query_id for one in lists}
    moved = arrange(lists[1], "shuffled", 0)
    masses = read_prompt(model, builder.build(moved))[0].documents
    z = np.log(sum(masses[layer, head] for layer, head in heads.pairs))
    for pair in pairs.by_query()[moved.query_id]:
        i, j = moved.doc_ids.index(pair.chosen), moved.doc_ids.index(pair.rejected)
        assert (pair.chosen_position, pair.rejected_position) == (i, j)
        assert pair.margin == pytest.approx(float(z[i] - z[j]), abs=1e-4)
    with pytest.raises(HeadRankError, match="selected on weights x"):
        mine_with_model(
            model,
            builder,
            replace(heads, provenance={"model_digest": "x"}),
            lists,
            qrels,
            PairOptions(),
            0,
            progress=False,
        )


def test_validation_is_ndcg_of_the_selected_heads():
    (model, builder, heads, lists, qrels, _), _ = inputs()
    values = []
    for one in lists:
        moved = arrange(one, "shuffled", 5)
        masses = read_prompt(model, builder.build(moved))[0].documents
        scores = sum(masses[layer, head] for layer, head in heads.pairs)
        ranked = [moved.doc_ids[i] for i in np.argsort(-scores)]
        gain = qrels.grades[one.query_id]
        dcg = sum(gain.get(d, 0) / np.log2(rank + 2) for rank, d in enumerate(ranked))
        values.append(dcg / (2 + 1 / np.log2(3)))
    got = validation_ndcg(model, builder, heads, lists, qrels, 5)
    assert got == pytest.approx(np.mean(values), abs=1e-6)
    assert len({round(value, 6) for value in values}) > 1


def test_every_head_can_be_aligned():
    model = models.loaded("gemma3")
    wrapped = models.with_adapter(model, every_head(models.LAYERS, models.HEADS))
    assert sum(p.requires_grad for p in wrapped.parameters()) == 4 * models.LAYERS
