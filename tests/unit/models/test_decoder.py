"""Loading models: truncation, refusals by name, damaged folders, provenance."""

import json
import logging
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, Gemma3Config, Gemma3ForConditionalGeneration

from headrank.errors import HeadRankError
from headrank.models.card import record_model, verify_model, weights_digest
from headrank.models.decoder import load_model
from headrank.models.gguf import check_tokenizer
from headrank.models.safe_loading import SUPPORTED
from headrank.reading.prefill import read_prompt
from tests.helpers import models

WEIGHTS = "model.safetensors"
UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def folder(tmp_path):
    return models.save(tmp_path / "model")


def change_weights(folder, change):
    """Apply ``change`` to the dictionary of weights and save it again."""
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def test_every_supported_architecture_is_tested():
    assert {name for name, _ in models.ARCHITECTURES.values()} == set(SUPPORTED)


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_fewer_layers_equal_the_truncated_full_model(tmp_path, architecture):
    folder = models.save(tmp_path, architecture)
    prompt = models.random_prompt(documents=7)
    whole = load_model(folder)
    full = read_prompt(whole, prompt)
    np.testing.assert_allclose(full[0].documents, models.brute_force(whole, prompt)[0], atol=1e-5)
    assert (whole.layers, whole.heads, whole.context) == (models.LAYERS, models.HEADS, 2048)
    for layers in range(1, models.LAYERS + 1):
        part = load_model(folder, layers=layers)
        assert part.layers == len(part.decoder.layers) == layers
        assert part.digest == whole.digest
        for cut, all_ in zip(read_prompt(part, prompt), full, strict=True):
            np.testing.assert_array_equal(cut.documents, all_.documents[:layers])


@pytest.mark.parametrize("layers", [0, -1, models.LAYERS + 1])
def test_layers_the_model_lacks_are_refused(folder, layers):
    with pytest.raises(HeadRankError, match=f"{layers} layers asked for, the model has 4"):
        load_model(folder, layers=layers)


def test_the_decoder_is_frozen_in_the_type_asked_for(folder):
    model = load_model(folder, dtype="bfloat16")
    assert {p.dtype for p in model.decoder.parameters()} == {torch.bfloat16}
    assert not any(p.requires_grad for p in model.decoder.parameters())
    assert not model.decoder.training
    assert not any("lm_head" in name for name, _ in model.decoder.named_parameters())


def test_loading_does_not_silence_later_warnings(folder):
    logger = logging.getLogger("transformers.modeling_utils")
    before = logger.level
    load_model(folder)
    assert logger.level == before


@pytest.mark.parametrize("name", ["float16", "fp32", "int8"])
def test_unknown_dtype_is_refused(folder, name):
    with pytest.raises(HeadRankError, match=f"'{name}'.*float32, bfloat16"):
        load_model(folder, dtype=name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a CUDA device")
def test_a_missing_device_is_told(folder):
    with pytest.raises(HeadRankError, match=r"'cuda:0'.*--device cpu"):
        load_model(folder, device="cuda:0")


@pytest.mark.parametrize("model_type", ["gpt2", "phi3", "gemma2"])
def test_an_unsupported_architecture_is_refused_by_name(folder, model_type):
    AutoConfig.for_model(model_type).save_pretrained(folder)
    with pytest.raises(HeadRankError, match=f"'{model_type}' is not supported.*llama.*qwen3"):
        load_model(folder)


def test_an_architecture_nobody_knows_is_refused_by_name(folder):
    settings = json.loads((folder / "config.json").read_text()) | {"model_type": "frobnicate"}
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(HeadRankError, match="frobnicate"):
        load_model(folder)


def test_a_multimodal_model_is_refused_by_name(tmp_path):
    """Its decoder's weights have other names; loaded blindly they would all be random."""
    config = Gemma3Config(
        text_config=models.config("gemma3").to_dict(),
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        },
    )
    Gemma3ForConditionalGeneration(config).save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(HeadRankError, match="'gemma3' is not supported"):
        load_model(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(folder, value):
    change_weights(folder, lambda weights: weights[UP].view(-1)[5:6].fill_(value))
    with pytest.raises(HeadRankError, match=r"layers\.1\.mlp\.up_proj\.weight hold NaN or inf"):
        load_model(folder)


@pytest.mark.parametrize(
    "change",
    [lambda weights: weights.pop(UP), lambda weights: weights.update({UP: torch.zeros(3, 3)})],
    ids=["absent", "of another shape"],
)
def test_weights_are_never_made_up(folder, change):
    change_weights(folder, change)
    with pytest.raises(HeadRankError, match=r"1 weights .*layers\.1\.mlp\.up_proj\.weight"):
        load_model(folder)


def test_absent_weights_behind_the_cut_do_not_matter(folder):
    change_weights(folder, lambda weights: weights.pop(UP))
    assert load_model(folder, layers=1).layers == 1


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_weights_are_refused(folder, share):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(HeadRankError, match=r"weights cannot be loaded.*convert the model again"):
        load_model(folder)


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json", "config.json"])
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(HeadRankError, match=r"no model can be loaded|weights cannot be loaded"):
        load_model(folder)


def test_weights_that_may_not_be_read_are_named(folder):
    """As another user's in a container; a folder of that name fails for root as well."""
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()
    with pytest.raises(HeadRankError, match=rf"{WEIGHTS}: cannot be read by user \d+ \(Is a dir"):
        load_model(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
@pytest.mark.parametrize("content", ["", '{"a', "{}", '{"a": 1}'])
def test_damaged_json_is_refused(folder, name, content):
    (folder / name).write_text(content)
    with pytest.raises(HeadRankError, match=r"no model can be loaded.*tokenizer\.json"):
        load_model(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(HeadRankError, match="no model can be loaded"):
        load_model(tmp_path / "nothing")


def test_provenance_notices_every_changed_file(folder):
    record_model(folder, {"kind": "test"})
    assert verify_model(folder)["source"] == {"kind": "test"}
    names = json.loads((folder / "headrank.json").read_text())["sha256"]
    assert {WEIGHTS, "tokenizer.json", "config.json"} <= set(names)
    for name in names:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(HeadRankError, match=f"{name}: SHA-256 differs.*convert it again"):
            verify_model(folder)
        (folder / name).unlink()
        with pytest.raises(HeadRankError, match=f"{name}: missing"):
            verify_model(folder)
        (folder / name).write_bytes(whole)
    verify_model(folder)


def test_the_digest_is_that_of_the_weights(folder):
    before = load_model(folder).digest
    record_model(folder, {})
    assert load_model(folder).digest == before
    change_weights(folder, lambda weights: weights[UP].add_(1))
    record_model(folder, {})
    assert load_model(folder).digest != before


@pytest.mark.slow
def test_the_digest_of_a_hub_repository_is_its_commit(folder, tmp_path):
    """Two repositories were both unknown once, so heads of one passed for the other's."""
    commit = "0123456789abcdef" * 2 + "01234567"
    cached = tmp_path / "hub/models--someone--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs/main").write_text(commit)
    shutil.copytree(folder, cached / "snapshots" / commit)
    code = (
        "from headrank.models.decoder import load_model; print(load_model('someone/tiny').digest)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert found.stdout.strip() == f"commit-{commit}"


def test_a_hub_repository_without_a_commit_is_refused(monkeypatch):
    monkeypatch.setattr("headrank.models.card.try_to_load_from_cache", lambda *_, **__: None)
    with pytest.raises(HeadRankError, match="someone/tiny: the hub's cache does not tell"):
        weights_digest("someone/tiny", None)


def test_a_card_that_notes_no_weights_is_refused(folder):
    """An empty digest would fit the heads of any other model without one."""
    record_model(folder, {})
    card = json.loads((folder / "headrank.json").read_text())
    del card["sha256"][WEIGHTS]
    (folder / "headrank.json").write_text(json.dumps(card))
    with pytest.raises(HeadRankError, match=r"headrank\.json notes no safetensors.*convert"):
        load_model(folder)


class Loses:
    """A tokenizer that drops what is not ASCII."""

    chat_template = None

    def encode(self, text, **_):
        return [ord(c) for c in text if c.isascii()]

    def decode(self, ids, **_):
        return "".join(map(chr, ids))


def test_a_tokenizer_that_loses_text_is_refused():
    check_tokenizer(models.tokenizer(), "here")
    check_tokenizer(models.tokenizer("gemma"), "here")
    with pytest.raises(HeadRankError, match=r"here: the tokenizer turns .* into .*tokenizer\.json"):
        check_tokenizer(Loses(), "here")
