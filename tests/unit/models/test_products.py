"""Products of bfloat16 where a processor has no instructions for them.

Every test says itself that the processor lacks them, so each runs on every machine.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from headrank.align import adapter
from headrank.align.forward import selected_mass
from headrank.data.heads import Head, HeadSet
from headrank.models import products
from headrank.models.attention import sdpa
from headrank.models.decoder import load_model
from headrank.models.products import FEW, WideLinear, tell_slow, widen
from headrank.options.prompt import PromptOptions
from headrank.reading.prefill import read_prompt
from headrank.reading.prompt import PromptBuilder
from tests.helpers import models
from tests.helpers import tiny_models as tiny

HEADS = HeadSet((Head(2, 3), Head(1, 0), Head(2, 1)))


@pytest.fixture(autouse=True)
def lacking(monkeypatch):
    monkeypatch.setattr(products, "lacks_bfloat16", lambda: True)


def layer(bias: bool = True, dtype: torch.dtype = torch.bfloat16) -> torch.nn.Linear:
    torch.manual_seed(3)
    made = torch.nn.Sequential(torch.nn.Linear(48, 32, bias=bias, dtype=dtype))
    made.requires_grad_(False)
    widen(made)
    return made[0]


@pytest.mark.parametrize("bias", [True, False])
def test_a_product_is_the_exact_one_rounded_once(bias):
    one = layer(bias)
    rows = torch.randn(2, 40, 48, dtype=torch.bfloat16)
    exact = rows.double() @ one.weight.double().T + (one.bias.double() if bias else 0)
    found = one(rows)
    assert found.dtype == torch.bfloat16
    # Half a step of bfloat16's 8 bits; sums in float32 may tip what lies on the edge.
    assert ((found.double() - exact).abs() <= exact.abs() * 2**-8 * 1.01 + 1e-6).all()


def test_gradients_reach_the_rows_as_in_float32():
    one = layer()
    rows = torch.randn(FEW, 48, dtype=torch.bfloat16, requires_grad=True)
    into = torch.randn(FEW, 32, dtype=torch.bfloat16)
    one(rows).backward(into)
    exact = into.double() @ one.weight.double()
    assert ((rows.grad.double() - exact).abs() <= exact.abs() * 2**-8 * 1.01 + 1e-6).all()


def test_wide_weights_are_not_kept_for_the_way_back():
    one = layer()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda tensor: tensor):
        one(torch.randn(FEW, 48, dtype=torch.bfloat16, requires_grad=True))
    assert [tensor.data_ptr() for tensor in kept] == [one.weight.data_ptr()]


def test_torch_multiplies_what_it_does_well(monkeypatch):
    """Few rows, float32 and weights that learn."""
    monkeypatch.setattr(
        products._Product, "apply", lambda *_: pytest.fail("widened without need or wrongly")
    )
    one = layer()
    one(torch.randn(FEW - 1, 48, dtype=torch.bfloat16))
    assert type(layer(dtype=torch.float32)) is torch.nn.Linear
    one.requires_grad_(True)
    one(torch.randn(2 * FEW, 48, dtype=torch.bfloat16))


def test_a_processor_with_the_instructions_is_left_alone(monkeypatch):
    monkeypatch.setattr(products, "lacks_bfloat16", lambda: False)
    assert type(layer()) is torch.nn.Linear


@pytest.mark.parametrize(
    ("machine", "capability", "lacks"),
    [
        ("x86_64", "AVX2", True),
        ("AMD64", "DEFAULT", True),
        ("x86_64", "AVX512", False),
        ("x86_64", "AVX512_BF16", False),
        ("aarch64", "DEFAULT", False),
        ("arm64", "SVE256", False),
    ],
)
def test_it_is_told_by_the_instructions_that_torch_uses(monkeypatch, machine, capability, lacks):
    monkeypatch.undo()
    monkeypatch.setattr(products.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert products.lacks_bfloat16.__wrapped__() is lacks


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_every_architecture_reads_the_same_heads(architecture, monkeypatch):
    prompt = models.random_prompt()
    wide = load_model(tiny.folder(architecture), dtype="bfloat16")
    kinds = {type(one) for one in wide.decoder.modules() if isinstance(one, torch.nn.Linear)}
    assert kinds == {WideLinear}
    monkeypatch.setattr(products, "lacks_bfloat16", lambda: False)
    plain = load_model(tiny.folder(architecture), dtype="bfloat16")
    for found, expected in zip(read_prompt(wide, prompt), read_prompt(plain, prompt), strict=True):
        np.testing.assert_allclose(found.documents, expected.documents, rtol=0.05, atol=1e-3)


def test_an_adapter_on_wide_layers_is_trained_and_merged():
    model = load_model(tiny.folder("llama"), dtype="bfloat16")
    wrapped = models.with_adapter(model, projections="all")
    ids = torch.arange(3 * FEW)[None]
    wrapped(input_ids=ids).last_hidden_state.float().sum().backward()
    learning = {name: one.grad for name, one in wrapped.named_parameters() if one.requires_grad}
    silent = [name for name, grad in learning.items() if grad is None or not grad.any()]
    assert learning and not silent
    with torch.inference_mode():
        apart = wrapped(input_ids=ids).last_hidden_state.float()
        merged = wrapped.merge_and_unload()(input_ids=ids).last_hidden_state.float()
    assert WideLinear in {type(one) for one in model.decoder.modules()}
    assert np.corrcoef(apart.ravel(), merged.ravel())[0, 1] > 0.99


def test_gradients_through_attention_are_the_exact_ones_rounded():
    torch.manual_seed(4)
    module = SimpleNamespace(num_key_value_groups=2, is_causal=True, training=True)
    given = [torch.randn(1, heads, 30, 16, dtype=torch.bfloat16) for heads in (4, 2, 2)]
    weights = torch.randn(1, 30, 4, 16)
    gradients = []
    for kind in (torch.bfloat16, torch.float64):
        states = [one.detach().to(kind, copy=True).requires_grad_() for one in given]
        found = sdpa(module, *states, None, scaling=0.25)
        assert found.dtype == kind
        (found * weights.to(kind)).sum().backward()
        gradients.append([one.grad.double() for one in states])
    for found, exact in zip(*gradients, strict=True):
        # The output was rounded before; torch's own loop is off by as much again.
        assert (found - exact).abs().max() <= exact.abs().max() * 2**-7


@pytest.mark.parametrize("layout", ["joint", "block"])
@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma3"])
def test_training_alone_makes_attention_in_float32_its_frozen_reference_too(
    architecture, layout, monkeypatch
):
    kinds, attend = [], torch.nn.functional.scaled_dot_product_attention

    def watched(query, key, value, attn_mask=None, **more):
        kinds.append({one.dtype for one in (query, key, value)})
        return attend(query, key, value, attn_mask=attn_mask, **more)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    model = models.loaded(architecture, sliding_window=200)
    wrapped = models.with_adapter(model, HEADS)
    for parameter in model.decoder.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    options = PromptOptions(layout=layout, query_offset=100 if layout == "block" else 256)
    one = models.candidates()
    prompt = PromptBuilder(model.tokenizer, options, model.context).build(one, (one.query,))
    wrapped.train()
    with adapter.frozen(wrapped):
        reference = selected_mass(model, prompt, HEADS)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    found = selected_mass(model, prompt, HEADS)
    found.log().sum().backward()
    assert kinds and all(kind == {torch.float32} for kind in kinds)
    # An adapter that changes nothing is its own reference, to the last bit.
    assert torch.equal(found, reference)
    kinds.clear()
    wrapped.eval()
    with torch.no_grad():
        selected_mass(model, prompt, HEADS)
    assert kinds and all(kind == {torch.bfloat16} for kind in kinds)


@pytest.mark.parametrize(
    ("capability", "dtype", "told"),
    [
        ((7, 5), torch.bfloat16, True),
        ((8, 0), torch.bfloat16, False),
        ((7, 5), torch.float32, False),
    ],
)
def test_a_gpu_without_the_instructions_is_told(monkeypatch, caplog, capability, dtype, told):
    on_card = SimpleNamespace(is_cuda=True, dtype=dtype, device=torch.device("cuda:0"))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    tell_slow(SimpleNamespace(parameters=lambda: [on_card, on_card]))
    expected = (
        "Tesla T4 (compute capability 7.5) has no bfloat16 instructions, they came with 8.0: "
        "dtype float32 may be faster"
    )
    assert caplog.messages == ([expected] if told else [])
