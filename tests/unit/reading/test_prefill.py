"""Readings against eager attention: every architecture, both suffixes, adapters, truncation."""

import numpy as np
import pytest
import torch

from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.reading import prefill
from headrank.reading.lists import read_list, read_lists
from headrank.reading.prefill import read_prompt, read_prompts
from headrank.reading.prompt import PromptBuilder
from headrank.reading.recording import ReadOptions, Recording
from headrank.reading.sliding_window import layer_windows
from tests.helpers import models


@pytest.mark.parametrize("lora", [False, True], ids=["plain", "lora"])
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_reading_equals_eager_attention(architecture, lora):
    model = models.loaded(architecture)
    prompt = models.random_prompt(documents=7)
    if lora:
        before = models.brute_force(model, prompt)[0]
        models.with_adapter(model)
        # The adapter matters, so the comparison below would notice if it were ignored.
        assert np.abs(models.brute_force(model, prompt)[0] - before).max() > 0.01
    masses = read_prompt(model, prompt, Recording(keep_tokens=True))
    assert len(masses) == 2
    for number, mass in enumerate(masses):
        documents, tokens = models.brute_force(model, prompt, number)
        assert documents.shape == (models.LAYERS, models.HEADS, 7)
        assert mass.documents.dtype == np.float32
        np.testing.assert_allclose(mass.documents, documents, atol=1e-5)
        np.testing.assert_allclose(mass.tokens, tokens, atol=1e-5)
    assert np.abs(masses[0].documents - masses[1].documents).max() > 0.01


@pytest.mark.parametrize("architecture", ["mistral-window", "gemma3"])
def test_the_window_matters(architecture):
    """The prompts above are longer than the window: reading without it gives other numbers."""
    prompt = models.random_prompt(documents=7)
    masses = [
        read_prompt(models.loaded(architecture, sliding_window=width), prompt)[0].documents
        for width in (24, 4096)
    ]
    assert np.abs(masses[0] - masses[1]).max() > 0.01
    first = models.ARCHITECTURES[architecture][1].get("layer_types", ["sliding_attention"])[0]
    assert first == "sliding_attention"
    assert (masses[0][0, :, 0] == 0).all()  # the first document lies outside the window
    assert (masses[1][0, :, 0] > 0).all()


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_a_one_token_suffix_is_read_exactly(architecture):
    model = models.loaded(architecture)
    prompt = models.random_prompt()
    short = type(prompt.suffixes[0])(ids=(17,), rows=(0, 1))
    prompt = type(prompt)(prompt.prefix, prompt.spans, (short, prompt.suffixes[0], short))
    masses = read_prompt(model, prompt)
    for number, mass in enumerate(masses):
        np.testing.assert_allclose(
            mass.documents, models.brute_force(model, prompt, number)[0], atol=1e-5
        )
    # The suffix between them left no trace in the shared cache.
    np.testing.assert_array_equal(masses[0].documents, masses[2].documents)


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
@pytest.mark.parametrize("deepest", range(models.LAYERS))
def test_truncation_gives_the_same_numbers_and_computes_nothing_behind(architecture, deepest):
    model = models.loaded(architecture)
    prompt = models.random_prompt()
    full = read_prompt(model, prompt, Recording(keep_tokens=True))
    calls = []

    def count(name, module):
        module.register_forward_hook(lambda *_: calls.append(name))

    for number, layer in enumerate(model.decoder.layers):
        # A layer's own hook fires only when the layer is done.
        layer.register_forward_pre_hook(lambda *_, n=number: calls.append(n))
        count(f"mlp {number}", layer.mlp)
        count(f"output {number}", layer.self_attn.o_proj)
    count("norm", model.decoder.norm)
    part = read_prompt(model, prompt, Recording(deepest=deepest, keep_tokens=True))
    for whole, cut in zip(full, part, strict=True):
        np.testing.assert_array_equal(cut.documents, whole.documents[: deepest + 1])
        np.testing.assert_array_equal(cut.tokens, whole.tokens[: deepest + 1])
    passes = 1 + len(prompt.suffixes)
    assert calls.count(deepest) == passes
    behind = {f"mlp {deepest}", f"output {deepest}", "norm", *range(deepest + 1, models.LAYERS)}
    assert not behind & set(calls)


@pytest.mark.parametrize("deepest", [-1, models.LAYERS])
def test_a_layer_the_model_lacks_is_refused(deepest):
    with pytest.raises(HeadRankError, match=rf"layer {deepest} .*layers 0\.\.3"):
        read_prompt(models.loaded(), models.random_prompt(), Recording(deepest=deepest))


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_documents_of_unequal_lists_need_a_mask_under_a_window_alone(architecture, monkeypatch):
    """A mask of all tokens by all tokens keeps SDPA from its causal kernel."""
    masks, forward = [], prefill._forward

    def watched(model, ids, positions, mask, *more):
        masks.append(mask)
        forward(model, ids, positions, mask, *more)

    monkeypatch.setattr(prefill, "_forward", watched)
    model = models.loaded(architecture)
    read_prompts(model, [models.random_prompt(seed, documents=3 + seed) for seed in (1, 2)])
    window = layer_windows(model) is not None
    assert [mask is None for mask in masks] == [not window, False, False]


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_a_batch_of_unequal_lists_reads_as_each_alone(architecture):
    model = models.loaded(architecture)
    prompts = [models.random_prompt(seed, documents=n) for seed, n in enumerate((6, 2, 4))]
    assert len({len(prompt.prefix) for prompt in prompts}) == 3
    assert len({len(prompt.suffixes[0].ids) for prompt in prompts}) == 3
    batch = read_prompts(model, prompts)
    for item, prompt in enumerate(prompts):
        for recorder, alone in zip(batch, read_prompt(model, prompt), strict=True):
            for layer in range(models.LAYERS):
                got = recorder.mass[layer][item].numpy()
                np.testing.assert_allclose(got, alone.documents[layer], atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "mistral-window", "gemma3"])
def test_bfloat16_stays_close_to_float32(architecture):
    model = models.loaded(architecture)
    prompt = models.random_prompt(documents=8)
    exact = read_prompt(model, prompt)[0].documents
    model.decoder.to(torch.bfloat16)
    rounded = read_prompt(model, prompt)[0].documents
    assert rounded.dtype == np.float32
    assert np.abs(rounded - exact).max() > 0  # it was computed in another type
    assert np.corrcoef(rounded.ravel(), exact.ravel())[0, 1] > 0.999


@pytest.fixture
def builder():
    return PromptBuilder(models.tokenizer(), PromptOptions(document_tokens=12))


def test_read_list_gives_calibration_contrast_and_spans(builder):
    model, one = models.loaded(), models.candidates()
    prompt = builder.build(one)
    masses = read_prompt(model, prompt, Recording(keep_tokens=True))
    reading, length = read_list(model, builder, one, ReadOptions(keep_tokens=True))
    assert reading.doc_ids == one.doc_ids and length == prompt.length
    np.testing.assert_array_equal(reading.query, masses[0].documents)
    np.testing.assert_array_equal(reading.calibration, masses[1].documents)
    np.testing.assert_array_equal(reading.tokens, masses[0].tokens - masses[1].tokens)
    np.testing.assert_allclose(reading.contrast, reading.tokens.sum((0, 1)), atol=1e-5)
    # The token ranges cut the token arrays into the documents' sums.
    for number, (start, stop) in enumerate(reading.spans):
        np.testing.assert_allclose(
            reading.tokens[:, :, start:stop].sum(-1),
            reading.query[:, :, number] - reading.calibration[:, :, number],
            atol=1e-5,
        )
    assert reading.spans[0][0] == 0 and reading.spans[-1][1] == len(reading.contrast)


def test_read_list_without_calibration_reads_one_suffix(builder):
    model, one = models.loaded(), models.candidates()
    reading, _ = read_list(model, builder, one, ReadOptions(calibrate=False))
    assert reading.calibration is None and reading.contrast is None and reading.tokens is None
    np.testing.assert_array_equal(reading.query, read_list(model, builder, one)[0].query)


def test_read_lists_keeps_the_order_and_truncates(builder):
    model = models.loaded()
    lists = [
        models.candidates(query=f"what is {word}", query_id=f"q-{word}")
        for word in ("rent", "cover", "soil")
    ]
    readings = list(read_lists(model, builder, lists, ReadOptions(deepest=1), label=None))
    assert [reading.query_id for reading in readings] == ["q-rent", "q-cover", "q-soil"]
    for one, reading in zip(lists, readings, strict=True):
        np.testing.assert_array_equal(reading.query, read_list(model, builder, one)[0].query[:2])


def test_an_overlong_list_is_told_before_any_list_is_read():
    model = models.loaded()
    builder = PromptBuilder(models.tokenizer(), context=150)
    lists = [models.candidates(("short",)), models.candidates(query_id="long")]
    calls = []
    model.decoder.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(HeadRankError, match="query long"):
        next(read_lists(model, builder, lists, label=None))
    assert not calls


def test_nan_in_the_attention_is_refused(builder):
    model = models.loaded()
    with torch.no_grad():
        model.decoder.layers[2].self_attn.k_proj.weight[0, 0] = float("nan")
    with pytest.raises(HeadRankError, match=r"query q1 has NaN.*float32"):
        read_list(model, builder, models.candidates())
