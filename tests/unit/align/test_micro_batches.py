"""Lists of a training step side by side: their masses, gradients, and a memory that runs out."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from headrank.align import forward
from headrank.align.forward import selected_mass, selected_masses
from headrank.align.losses import relevance
from headrank.models.devices import OutOfMemory
from headrank.options.prompt import PromptOptions
from headrank.reading import block_attention
from headrank.reading.prompt import PromptBuilder
from tests.helpers import models
from tests.helpers.alignment import HEADS, OPTIONS, contents, run

ALONE = replace(OPTIONS, dropout=0.0, batch=3, micro_batch=1)
WEIGHTS = "adapter_model.safetensors"


def list_of(documents, layout):
    """Return a prompt of so many documents of unlike length."""
    texts = [f"policy {number}" + " pays a loan" * (number % 4) for number in range(documents)]
    candidates = models.candidates(texts, query_id=f"q{documents}")
    options = PromptOptions(layout=layout, document_tokens=24)
    builder = PromptBuilder(models.tokenizer(), options, 2048)
    return builder.build(candidates, (f"what does {documents} pay",))


@pytest.mark.parametrize("layout", ["joint", "block", "block-tenth", "block+query"])
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_side_by_side_masses_and_gradients_are_those_of_single_lists(architecture, layout):
    slides = models.ARCHITECTURES[architecture][1].get("sliding_window")
    model = models.loaded(architecture, **({"sliding_window": 400} if slides else {}))
    wrapped = models.with_adapter(model, HEADS, projections="all")
    prompts = [list_of(documents, layout) for documents in (3, 6, 4)]

    def gradient(masses):
        wrapped.zero_grad()
        sum(relevance(mass).var() for mass in masses).backward()
        return torch.cat([p.grad.flatten() for p in wrapped.parameters() if p.grad is not None])

    alone = [selected_mass(model, prompt, HEADS) for prompt in prompts]
    together = selected_masses(model, prompts, HEADS)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-7)
    expected = gradient(alone)
    largest = expected.abs().max().item()
    assert 1e-4 < largest < np.inf
    # A small element is a sum of large terms: its error goes with the largest, not with itself.
    torch.testing.assert_close(gradient(together), expected, rtol=0, atol=1e-4 * largest)


def test_lists_in_blocks_share_a_pass_where_they_share_the_text_before(monkeypatch):
    model = models.loaded("llama", num_hidden_layers=3)
    seen = []
    attend = block_attention.BlockAttention.attend

    def noted(self, module, *args, **kwargs):
        if module.layer_idx == 0:
            seen.append(len(self.tails))
        return attend(self, module, *args, **kwargs)

    monkeypatch.setattr(block_attention.BlockAttention, "attend", noted)
    for layout, expected in (("block", [3]), ("block+query", [1, 1, 1])):
        seen.clear()
        selected_masses(model, [list_of(documents, layout) for documents in (3, 6, 4)], HEADS)
        assert seen == expected


@pytest.mark.parametrize("changes", [{}, {"reference": "frozen"}, {"both_layouts": True}])
def test_a_training_side_by_side_is_one_of_single_lists(tmp_path, monkeypatch, changes):
    passes = []

    def noted(model, prompts, heads, *kind, **settings):
        if torch.is_grad_enabled():
            passes.append(len(prompts))
        return selected_masses(model, prompts, heads, *kind, **settings)

    monkeypatch.setattr(forward, "selected_masses", noted)
    run(tmp_path / "alone", replace(ALONE, **changes))
    assert set(passes) == {1}
    run(tmp_path / "two", replace(ALONE, micro_batch=2, **changes))
    # Five lists in steps of three and two.
    assert max(passes) == 2
    alone, two = (load_file(tmp_path / name / WEIGHTS) for name in ("alone", "two"))
    for name, values in alone.items():
        np.testing.assert_allclose(two[name], values, atol=2e-3)


def test_one_list_at_once_is_what_auto_means_on_the_cpu(tmp_path):
    for name, asked in (("auto", "auto"), ("one", 1)):
        run(tmp_path / name, replace(OPTIONS, epochs=1, micro_batch=asked))
    one, auto = (contents(tmp_path / name) for name in ("one", "auto"))
    card = json.loads(one["headrank.json"])
    assert card["options"].pop("micro_batch") == 1
    other = json.loads(auto["headrank.json"])
    assert other["options"].pop("micro_batch") == "auto" and other == card
    assert {n: b for n, b in auto.items() if "headrank.json" not in n} == {
        n: b for n, b in one.items() if "headrank.json" not in n
    }


def test_out_of_memory_halves_the_lists_at_once_and_changes_no_weight(
    tmp_path, monkeypatch, caplog
):
    options = replace(ALONE, both_layouts=True)
    run(tmp_path / "alone", options)
    calls = []

    def scarce(model, prompts, heads, *kind, **settings):
        if torch.is_grad_enabled():
            calls.append(len(prompts))
        # The joint pass of three lists has added to the gradient by then.
        if calls == [3, 3]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return selected_masses(model, prompts, heads, *kind, **settings)

    monkeypatch.setattr(forward, "selected_masses", scarce)
    run(tmp_path / "scarce", replace(options, micro_batch=3))
    assert set(calls[2:]) == {1}
    assert "from here on micro_batch 1" in caplog.text and "Tried to allocate 2.00" in caplog.text
    alone, halved = (contents(tmp_path / name) for name in ("alone", "scarce"))
    assert halved[WEIGHTS] == alone[WEIGHTS] and halved["training.csv"] == alone["training.csv"]


def test_a_list_that_does_not_fit_alone_ends_the_training(tmp_path, monkeypatch):
    def full(model, prompts, heads, *kind, **settings):
        if torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return selected_masses(model, prompts, heads, *kind, **settings)

    monkeypatch.setattr(forward, "selected_masses", full)
    with pytest.raises(OutOfMemory, match=r"training step of query q\d .*fewer documents a list"):
        run(tmp_path / "a", replace(OPTIONS, micro_batch=2))
    assert not (tmp_path / "a").exists()
