"""Adapters: the reading they are trained on, gradients, files."""

import json
import warnings

import numpy as np
import pytest
import torch
from peft import peft_model
from safetensors.torch import load_file, save_file

from headrank.align.adapter import PROJECTIONS, add_adapter, load_adapter, save_adapter
from headrank.align.forward import selected_mass
from headrank.align.losses import relevance
from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.models.decoder import LoadedModel, load_model
from headrank.reading.prefill import read_prompt
from tests.helpers import models
from tests.helpers.alignment import HEADS


def seeing(architecture: str) -> LoadedModel:
    """Return a model whose windows cut a prompt of six documents, but see a part of each."""
    slides = models.ARCHITECTURES[architecture][1].get("sliding_window")
    return models.loaded(architecture, **({"sliding_window": 48} if slides else {}))


@pytest.mark.parametrize("lora", [False, True], ids=["plain", "lora"])
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_selected_mass_equals_the_reading(architecture, lora):
    model = seeing(architecture)
    prompt = models.random_prompt(documents=6)
    if lora:
        models.with_adapter(model, HEADS)
    expected = read_prompt(model, prompt)[0].documents
    got = selected_mass(model, prompt, HEADS).detach().numpy()
    # Rows are in the order of layers and heads, not of the selection.
    order = sorted(HEADS.pairs)
    np.testing.assert_allclose(got, [expected[layer, head] for layer, head in order], atol=1e-5)


PARTS = {
    "query-key": ["self_attn.q", "self_attn.k"],
    "attention": ["self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o"],
}
PARTS["all"] = [*PARTS["attention"], "mlp.gate", "mlp.up", "mlp.down"]


@pytest.mark.parametrize("projections", PROJECTIONS)
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_gradients_reach_every_adapter_up_to_the_deepest_head_and_nothing_else(
    architecture, projections
):
    model = seeing(architecture)
    wrapped = models.with_adapter(model, HEADS, projections=projections)
    calls = []
    model.decoder.layers[2].mlp.register_forward_hook(lambda *_: calls.append("mlp 2"))
    model.decoder.layers[3].register_forward_pre_hook(lambda *_: calls.append("layer 3"))
    mass = selected_mass(model, models.random_prompt(documents=6), HEADS)
    relevance(mass).var().backward()
    assert not calls
    reached = {n for n, p in wrapped.named_parameters() if p.grad is not None and p.grad.any()}
    expected = {
        f"base_model.model.layers.{layer}.{part}_proj.lora_{side}.default.weight"
        for layer in range(HEADS.deepest + 1)
        # Of the deepest layer nothing but queries and keys is computed.
        for part in PARTS[projections if layer < HEADS.deepest else "query-key"]
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


@pytest.fixture
def saved(tmp_path):
    """Return a saved adapter with its reading of a prompt."""
    model = models.loaded()
    wrapped = models.with_adapter(model, HEADS)
    save_adapter(wrapped, tmp_path, HEADS, {"model_digest": model.digest})
    return tmp_path, read_prompt(model, models.random_prompt())[0].documents


def test_an_adapter_survives_its_folder(saved, monkeypatch):
    folder, expected = saved
    model = models.loaded()
    # peft would ask which GPU it sees, and load the adapter there whatever the model's device.
    monkeypatch.setattr(peft_model, "infer_device", None)
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


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "heads.json"])
def test_a_damaged_adapter_is_refused(saved, name):
    path = saved[0] / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(HeadRankError, match=rf"{name}: SHA-256 is .*; align again"):
        load_adapter(models.loaded(), saved[0])
    path.unlink()
    with pytest.raises(HeadRankError, match=f"no {name}; give the folder that alignment wrote"):
        load_adapter(models.loaded(), saved[0])


@pytest.mark.parametrize("card", ["{}", "[]", '{"model_digest": "llama-0"}'])
def test_a_card_that_says_nothing_is_refused(saved, card):
    (saved[0] / "headrank.json").write_text(card)
    with pytest.raises(HeadRankError, match=r"headrank\.json: not the card of an adapter; align"):
        load_adapter(models.loaded(), saved[0])


def test_an_adapter_that_lacks_tensors_is_refused(saved):
    """peft would leave them as drawn and only warn."""
    path = saved[0] / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, path)
    with pytest.raises(HeadRankError, match="SHA-256 is"):
        load_adapter(models.loaded(), saved[0])


def test_a_user_of_an_adapter_sees_no_warning_of_the_packages_below(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped = models.with_adapter(models.loaded(), HEADS)
        save_adapter(wrapped, tmp_path, HEADS, {"model_digest": "llama-0"})
        load_adapter(models.loaded(), tmp_path)
