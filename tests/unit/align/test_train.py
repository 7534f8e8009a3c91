"""Alignment: what a run learns, writes and refuses."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from headrank.align import loop, train
from headrank.align.adapter import add_adapter, load_adapter
from headrank.align.divergence import Diverged, check_trend
from headrank.align.forward import selected_mass
from headrank.align.lists import shuffled
from headrank.align.losses import relevance
from headrank.align.places import Folders
from headrank.align.validate import validation_ndcg
from headrank.data.candidates import arrange, query_generator
from headrank.data.heads import Head, HeadSet, every_head
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.evaluation.measures import evaluate
from headrank.options.fold import Fold
from headrank.ranker.truncated import score_prompts
from headrank.reading.prefill import read_prompt
from tests.helpers import models
from tests.helpers.alignment import HEADS, OPTIONS, Killed, contents, inputs, run


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "adapter"
    run(folder)
    return contents(folder)


def test_training_lowers_the_loss(tmp_path):
    options = replace(
        OPTIONS, epochs=8, dropout=0.0, patience=8, checkpoint_every=99, regulariser_weight=0.5
    )
    validation = run(tmp_path / "a", options)
    log = pd.read_csv(tmp_path / "a" / "training.csv")
    epochs = log.groupby("epoch")[["loss", "misordered"]].mean()
    assert epochs["loss"].iloc[-1] < 0.7 * epochs["loss"].iloc[0]
    assert epochs["misordered"].iloc[-1] < epochs["misordered"].iloc[0]
    assert validation["ndcg@10"].max() > validation["ndcg@10"].iloc[0]
    assert len(log) == 24 and log["step"].tolist() == list(range(1, 25))
    np.testing.assert_allclose(log["loss"], log["preference"] + 0.5 * log["regulariser"], rtol=1e-5)


# Warm-up over a tenth of the six steps is one step; five are left. The values after it are
# 1, 4/5 ... 1/5 and (1 + cos(pi k / 5)) / 2 of the highest rate, written out.
@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", [1, 1, 1, 1, 1, 1]),
        ("linear", [1, 1, 0.8, 0.6, 0.4, 0.2]),
        ("cosine", [1, 1, 0.904508, 0.654508, 0.345492, 0.095492]),
    ],
)
def test_schedules(tmp_path, schedule, shares):
    run(tmp_path / "a", replace(OPTIONS, epochs=2, patience=2, schedule=schedule))
    rates = pd.read_csv(tmp_path / "a" / "training.csv")["learning_rate"]
    np.testing.assert_allclose(rates, 0.02 * np.array(shares), rtol=1e-5)


def test_warm_up(tmp_path):
    run(tmp_path / "a", replace(OPTIONS, epochs=2, patience=2, warmup=0.5))
    rates = pd.read_csv(tmp_path / "a" / "training.csv")["learning_rate"]
    np.testing.assert_allclose(rates[:4], 0.02 * np.array([1 / 3, 2 / 3, 1, 1]), rtol=1e-6)


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
    (reader, data), settings = inputs(options)
    seed, qrels = settings["seed"], data.training.qrels
    wrapped = add_adapter(reader.model, reader.heads, rank=4, alpha=8, dropout=0.0, seed=seed)
    one = train.Training(reader, wrapped, data, options, seed)
    order = query_generator(seed, "lists", "0").permutation(5)[:3]
    items = [shuffled(c, qrels, p, seed, 0) for c, p in (data.matched[i] for i in order)]
    loss = torch.stack([part["loss"] for part in one.losses(items)]).mean()
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
        ".headrank.json",
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
    (reader, data), settings = inputs()
    load_adapter(reader.model, tmp_path)
    value = validation_ndcg(reader, data.validation, settings["seed"])
    assert value == pytest.approx(best["ndcg@10"])
    assert (card["labelled_queries"], card["training_queries"], card["seed"]) == (5, 5, 3)


def test_patience_ends_a_run_and_a_resumed_one(tmp_path, monkeypatch):
    options = replace(OPTIONS, epochs=6, patience=2)
    values = [0.5, 0.6, 0.4, 0.3, 0.9, 0.9, 0.9]
    asked = []

    def ndcg(reader, *_):
        weights = reader.model.decoder.layers[0].self_attn.q_proj.lora_B.default.weight
        asked.append(weights.detach().clone())
        return values[len(asked) - 1]

    monkeypatch.setattr(loop, "validation_ndcg", ndcg)
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


def test_a_training_in_vain_is_told(tmp_path, monkeypatch, caplog):
    values = iter([0.5, 0.5, 0.4])
    monkeypatch.setattr(loop, "validation_ndcg", lambda *_: next(values))
    run(tmp_path / "a", replace(OPTIONS, epochs=2))
    assert json.loads(contents(tmp_path / "a")["headrank.json"])["best_epoch"] == 0
    assert "no epoch ranks the" in caplog.text and "lower learning_rate" in caplog.text
    caplog.clear()
    values = iter([0.5, 0.6, 0.4])
    run(tmp_path / "b", replace(OPTIONS, epochs=2))
    assert "no epoch" not in caplog.text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, monkeypatch, value):
    loss = loop.losses.preference_loss
    calls = itertools.count()

    def diverging(*args):
        return loss(*args) * (value if next(calls) == 4 else 1)

    monkeypatch.setattr(loop.losses, "preference_loss", diverging)
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


def test_a_finite_loss_that_runs_away_ends_the_run(tmp_path, monkeypatch):
    loss = loop.losses.preference_loss
    calls = itertools.count()

    def growing(*args):
        return loss(*args) + 2.0 * next(calls)

    monkeypatch.setattr(loop.losses, "preference_loss", growing)
    options = replace(OPTIONS, epochs=20, patience=20)
    message = r"step 2\d: the last 10 steps have a mean loss of .*, the first 10 had .*Lower"
    with pytest.raises(Diverged, match=message):
        run(tmp_path / "a", options)
    assert not (tmp_path / "a").exists()


def test_the_trend_of_a_loss():
    check_trend([5.0] * 9 + [1e9], 0.1)  # too few steps to compare
    check_trend([2.0] * 10 + [5.9] * 10, 0.1)
    # Below three times a coin's loss nothing ran away, however small the first ones were.
    check_trend([1e-6] * 10 + [2.0] * 10, 0.1)
    for losses in ([2.0] * 10 + [6.1] * 10, [1e-6] * 10 + [2.1] * 10):
        with pytest.raises(Diverged, match=r"step 20: .*Lower learning_rate \(now 0.1\)"):
            check_trend(losses, 0.1)


def test_an_update_that_leaves_no_numbers_ends_the_run(tmp_path, monkeypatch):
    """A rate this high gives infinite weights from a finite gradient."""
    step = torch.optim.AdamW.step

    def bursting(self, *args, **kwargs):
        step(self, *args, **kwargs)
        with torch.no_grad():
            self.param_groups[0]["params"][0].fill_(float("inf"))

    monkeypatch.setattr(torch.optim.AdamW, "step", bursting)
    # One step an epoch: validation would be next to read these weights.
    with pytest.raises(Diverged, match="step 1: the update left weights that are NaN or infinite"):
        run(tmp_path / "a", replace(OPTIONS, batch=5), checkpoint=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_fewer_lists_than_a_step_takes_are_refused(tmp_path):
    message = r"5 training queries have pairs, fewer than one step takes \(batch 6\)"
    with pytest.raises(HeadRankError, match=message):
        run(tmp_path / "a", replace(OPTIONS, batch=6))


def test_heads_of_another_model_are_refused(tmp_path):
    (reader, data), settings = inputs()
    for heads, message in (
        (HeadSet((Head(3, 0),)), "layer 3, head 0 is selected, but the reading has 3 layers"),
        (replace(HEADS, provenance={"model_digest": "x"}), "selected on weights x"),
    ):
        with pytest.raises(HeadRankError, match=message):
            train.align(replace(reader, heads=heads), data, Folders(tmp_path / "a"), **settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": "frozen"},
        {"scale": "min-max"},
        {"scale": "max-logit"},
        {"scale": "max-logit", "both_layouts": True},
        {"regulariser": "middle-spread"},
        {"regulariser": "none"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
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


def test_training_by_the_largest_logit_learns_what_the_fold_of_that_name_ranks_by(tmp_path):
    options = replace(OPTIONS, scale="max-logit", dropout=0.0)
    run(tmp_path / "a", options)
    validation = pd.read_csv(tmp_path / "a" / "validation.csv")["ndcg@10"]
    assert validation.max() > validation[0]
    (reader, data), _ = inputs()
    load_adapter(reader.model, tmp_path / "a")
    scores = {}
    for one in data.validation.lists:
        moved = arrange(one, "shuffled", 3)
        prompt = reader.builder.build(moved, (moved.query,))
        ((values,),) = score_prompts(reader.model, [prompt], HEADS, Fold(aggregation="max-logit"))
        scores[one.query_id] = dict(zip(moved.doc_ids, values.tolist(), strict=True))
    held = data.validation.qrels.only(scores)
    table = evaluate(Run.from_scores(scores), held, ["nDCG@10"])
    assert table["value"].mean() == pytest.approx(validation.max(), abs=1e-6)


def test_the_reference_is_the_frozen_model(tmp_path):
    """With B drawn, the adapter and the frozen model differ, and the loss must say so."""
    (reader, data), settings = inputs(replace(OPTIONS, reference="frozen", dropout=0.0))
    model, heads, (lists, qrels) = reader.model, reader.heads, data.training
    wrapped = models.with_adapter(model, HEADS)
    one = train.Training(reader, wrapped, data, settings["options"], 0)
    item = shuffled(lists[0], qrels, data.pairs.by_query()["q0"], 0, 0)
    (parts,) = one.losses([item])
    prompt = reader.builder.build(item.candidates, (item.candidates.query,))
    z = relevance(selected_mass(model, prompt, heads)).detach()
    frozen = relevance(selected_mass(models.loaded("llama", num_hidden_layers=3), prompt, heads))
    margins = (z - frozen)[item.chosen] - (z - frozen)[item.rejected]
    expected = torch.nn.functional.softplus(-margins).mean()
    assert float(parts["preference"]) == pytest.approx(float(expected), rel=1e-4)
    assert abs(float(expected) - np.log(2)) > 0.01
    misordered = (z[item.chosen] <= z[item.rejected]).float().mean()
    assert float(parts["misordered"]) == float(misordered)


def test_validation_is_ndcg_of_the_selected_heads():
    (reader, data), _ = inputs()
    (lists, qrels), heads = data.training, reader.heads
    values = []
    for one in lists:
        moved = arrange(one, "shuffled", 5)
        masses = read_prompt(reader.model, reader.builder.build(moved))[0].documents
        scores = sum(masses[layer, head] for layer, head in heads.pairs)
        ranked = [moved.doc_ids[i] for i in np.argsort(-scores)]
        gain = qrels.grades[one.query_id]
        dcg = sum(gain.get(d, 0) / np.log2(rank + 2) for rank, d in enumerate(ranked))
        values.append(dcg / (2 + 1 / np.log2(3)))
    got = validation_ndcg(reader, data.training, 5)
    assert got == pytest.approx(np.mean(values), abs=1e-6)
    assert len({round(value, 6) for value in values}) > 1


def test_every_head_can_be_aligned():
    model = models.loaded("gemma3")
    wrapped = models.with_adapter(model, every_head(models.LAYERS, models.HEADS))
    assert sum(p.requires_grad for p in wrapped.parameters()) == 4 * models.LAYERS
