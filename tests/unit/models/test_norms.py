"""Norms as one kernel: the same numbers, and transformers' own bits on the CPU."""

import numpy as np
import pytest
import torch

from benchmarks.traffic import Traffic
from headrank.models.decoder import LoadedModel, load_model
from headrank.models.norms import fuse_norms, fused
from headrank.reading.prefill import read_prompt, read_prompts
from headrank.reading.recording import Recording
from tests.helpers import models
from tests.helpers import tiny_models as tiny


def norms(model: torch.nn.Module) -> list[torch.nn.Module]:
    return [module for module in model.modules() if "RMSNorm" in type(module).__name__]


def exact(norm: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Return a norm by its definition (Zhang and Sennrich, 2019), in float64."""
    wide, weight = rows.double(), norm.weight.double()
    scale = wide / (wide.pow(2).mean(-1, keepdim=True) + epsilon(norm)).sqrt()
    return scale * (1 + weight if "Gemma" in type(norm).__name__ else weight)


def loaded(architecture: str, **changes: object) -> LoadedModel:
    """Return a model with transformers' own norms."""
    model = models.loaded(architecture, **changes)
    for norm in norms(model.decoder):
        norm.__class__ = type(norm).__bases__[-1]
    return model


def epsilon(norm: torch.nn.Module) -> float:
    return getattr(norm, "variance_epsilon", None) or norm.eps


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_is_its_definition_and_no_farther_from_it_than_transformers(architecture, dtype):
    torch.manual_seed(5)
    for norm in norms(loaded(architecture).decoder.to(dtype)):
        rows = 3 * torch.randn(2, 50, len(norm.weight), dtype=dtype)
        found, theirs, wanted = fused(norm, rows), norm(rows), exact(norm, rows)
        assert found.dtype == dtype
        step = torch.finfo(dtype).eps
        assert ((found - wanted).abs() <= step * wanted.abs() + 1e-6).all()
        if dtype == torch.bfloat16:
            assert (found - wanted).abs().mean() <= (theirs - wanted).abs().mean()


def test_gradients_are_those_of_transformers():
    (norm,) = norms(loaded("qwen3", num_hidden_layers=1).decoder)[-1:]
    rows = torch.randn(2, 7, len(norm.weight), requires_grad=True)
    into = torch.randn(2, 7, len(norm.weight))
    expected, found = (
        torch.autograd.grad(compute(rows), rows, into)[0]
        for compute in (norm, lambda rows: fused(norm, rows))
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_off_the_cpu_every_norm_is_one_kernel(architecture):
    model = loaded(architecture)
    count = len(norms(model.decoder))
    model.decoder.to("meta")
    prompt = models.random_prompt(3, documents=5)
    passes = 1 + len(prompt.suffixes)
    kernels = []
    for _ in range(2):
        with Traffic() as seen:
            read_prompts(model, [prompt], Recording())
        kernels.append(seen)
        fuse_norms(model.decoder)
    before, after = (seen.kernels for seen in kernels)
    assert before["rms_norm"] == after["rsqrt"] == after["pow"] == 0
    # The last layer ends at its attention weights: the norms behind them are not computed.
    assert passes * (count - 4) <= before["rsqrt"] == after["rms_norm"] < passes * count


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_on_the_cpu_readings_are_the_same_bits(architecture):
    prompt = models.random_prompt(3, documents=5)
    model = loaded(architecture)
    expected = read_prompt(model, prompt)
    fuse_norms(model.decoder)
    fuse_norms(model.decoder)  # once more changes nothing
    for one, other in zip(read_prompt(model, prompt), expected, strict=True):
        assert np.array_equal(one.documents, other.documents)


def test_a_norm_that_was_never_compared_stays_as_it_is():
    class OtherRMSNorm(torch.nn.Module):
        pass

    model = torch.nn.Sequential(OtherRMSNorm())
    fuse_norms(model)
    assert type(model[0]) is OtherRMSNorm


def test_a_loaded_model_has_them():
    decoder = load_model(tiny.folder("qwen3")).decoder
    assert {type(norm).__name__ for norm in norms(decoder)} == {"FusedQwen3RMSNorm"}
