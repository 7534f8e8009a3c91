"""The truncated reading gives the full reading's scores, and computes no more than it says."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from headrank.data.candidates import arrange
from headrank.data.heads import Head, HeadSet, by_layer
from headrank.errors import HeadRankError, HostFault, Unfit
from headrank.heads.fold import fold
from headrank.models.attention import Recorder
from headrank.models.decoder import load_model
from headrank.options.fold import Fold
from headrank.options.prompt import PromptOptions
from headrank.ranker.truncated import cut_last_layer, score_prompts
from headrank.reading.lists import read_list
from headrank.reading.prefill import read_prompts
from headrank.reading.prompt import PromptBuilder
from headrank.reading.recording import ReadOptions, Recording
from tests.helpers import tiny_models as tiny

HEADS = HeadSet((Head(2, 3), Head(0, 1), Head(2, 0), Head(1, 2)))
FOLDS = (
    Fold(),
    Fold(aggregation="log-sum"),
    Fold(aggregation="mean-log-share"),
    Fold(aggregation="max-logit"),
    Fold(calibrate=True),
    Fold(calibrate=True, aggregation="mean-z"),
    Fold(calibrate=True, outliers=True),
)


def lists():
    """Return lists of different lengths, so that a batch needs padding."""
    return [
        arrange(tiny.candidates(), "shuffled", 3),
        tiny.candidates("is the sun rich", "q2", skip=2),
        tiny.candidates("how", "q3", skip=4),
    ]


def cut_model(architecture: str, layers: int | None = HEADS.deepest + 1, dtype: str = "float32"):
    model = load_model(tiny.folder(architecture), layers=layers, dtype=dtype)
    cut_last_layer(model)
    return model


def builder_for(model, **options) -> PromptBuilder:
    return PromptBuilder(model.tokenizer, PromptOptions(**options), model.context)


def prompts_of(builder, options: Fold, texts):
    return [builder.build(one, None if options.calibrate else (one.query,)) for one in texts]


def assert_equal(found: np.ndarray, expected: np.ndarray, calibrated: bool) -> None:
    # A calibrated score is a difference of masses: its error is relative to the masses.
    slack = 1e-5 * np.abs(expected).max() if calibrated else 0
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=slack)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
@pytest.mark.parametrize("options", FOLDS, ids=str)
def test_scores_equal_the_fold_of_the_full_reading(architecture, options):
    full = load_model(tiny.folder(architecture))
    builder = builder_for(full)
    expected = [
        fold(
            read_list(full, builder, c, ReadOptions(keep_tokens=True, keep_max_logits=True))[0],
            HEADS,
            options,
        )
        for c in lists()
    ]
    model = cut_model(architecture)
    prompts = prompts_of(builder, options, lists())
    single = [score_prompts(model, [prompt], HEADS, options)[0][0] for prompt in prompts]
    batch = [scores[0] for scores in score_prompts(model, prompts, HEADS, options)]
    for one, padded, reference in zip(single, batch, expected, strict=True):
        assert_equal(one, reference, options.calibrate)
        assert_equal(padded, reference, options.calibrate)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_icr_reads_every_head_of_every_layer(architecture):
    full = load_model(tiny.folder(architecture))
    builder, options = builder_for(full, rows="suffix"), Fold(calibrate=True, outliers=True)
    model = cut_model(architecture, layers=None)
    for candidates in lists():
        expected = fold(read_list(full, builder, candidates)[0], None, options)
        (scores,) = score_prompts(model, [builder.build(candidates)], None, options)
        assert_equal(scores[0], expected, calibrated=True)


def test_bfloat16_rounds_the_model_not_the_reading():
    options = Fold(aggregation="log-sum")
    full = load_model(tiny.folder("qwen3"), dtype="bfloat16")
    builder = builder_for(full)
    model = cut_model("qwen3", dtype="bfloat16")
    for candidates in lists():
        expected = fold(
            read_list(full, builder, candidates, ReadOptions(calibrate=False))[0], HEADS, options
        )
        (scores,) = score_prompts(model, prompts_of(builder, options, [candidates]), HEADS, options)
        np.testing.assert_allclose(scores[0], expected, rtol=1e-5)
    recorder = read_prompts(model, [builder.build(lists()[0])], Recording(heads=by_layer(HEADS)))[0]
    assert {mass.dtype for masses in recorder.mass.values() for mass in masses} == {torch.float32}


def test_several_queries_share_one_prefix():
    options = Fold(calibrate=True, outliers=True)
    model = cut_model("llama")
    builder, candidates = builder_for(model), tiny.candidates()
    queries = ("what does a policy pay", "who barks", "how do tomatoes grow in rich soil")
    together = builder.build(candidates, (*queries, "N/A"))
    prefills = []
    model.decoder.layers[0].register_forward_pre_hook(
        lambda module, args: prefills.append(args[0].shape[1])
    )
    (scores,) = score_prompts(model, [together], HEADS, options)
    assert prefills == [len(together.prefix), *(len(s.ids) for s in together.suffixes)]
    for query, found in zip(queries, scores, strict=True):
        (alone,) = score_prompts(model, [builder.build(candidates, (query, "N/A"))], HEADS, options)
        assert_equal(found, alone[0], calibrated=True)


def count_rows(model) -> Counter:
    """Return a counter that fills with the rows each linear layer projects."""
    rows: Counter = Counter()

    def count(name):
        return lambda module, args, output: rows.update({name: args[0].shape[:-1].numel()})

    for name, module in model.decoder.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(count(name))
    return rows


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_last_layer_computes_keys_and_suffix_queries_only(architecture):
    model = cut_model(architecture)
    prompt = builder_for(model).build(lists()[0])
    rows = count_rows(model)
    score_prompts(model, [prompt], HEADS, Fold(calibrate=True))
    suffixes = sum(len(suffix.ids) for suffix in prompt.suffixes)
    everything = len(prompt.prefix) + suffixes
    below = [name for name in rows if not name.startswith("layers.2.")]
    assert len(below) == 2 * 7  # q, k, v, o, gate, up, down of two layers
    assert {rows[name] for name in below} == {everything}
    assert {name: count for name, count in rows.items() if name not in below} == {
        "layers.2.self_attn.k_proj": everything,
        "layers.2.self_attn.q_proj.projection": suffixes,
    }


def test_only_needed_weights_are_kept():
    full, model = load_model(tiny.folder("llama")), cut_model("llama")
    assert len(model.decoder.layers) == 3
    names = {name for name, _ in model.decoder.named_parameters()}
    assert not any("lm_head" in name or name.startswith("norm") for name in names)
    assert {name for name in names if name.startswith("layers.2.")} == {
        "layers.2.input_layernorm.weight",
        "layers.2.post_attention_layernorm.weight",
        "layers.2.self_attn.k_proj.weight",
        "layers.2.self_attn.q_proj.projection.weight",
    }
    assert len(names) < len(list(full.decoder.parameters()))


def test_a_cut_model_refuses_other_use():
    model = cut_model("llama")
    with pytest.raises(HeadRankError, match="has no output"):
        model.decoder(torch.tensor([[1, 2, 3]]))


def test_documents_beyond_the_sliding_window_are_an_error():
    model = cut_model("mistral-window")
    builder = builder_for(model, header="x" * 10, instruction="y " * 100)
    prompt = builder.build(tiny.candidates(), ("what",))
    with pytest.raises(Unfit, match=r"layer 2, head 3 .*160 tokens.* document 1 of 6.*"):
        score_prompts(model, [prompt], HEADS, Fold())
    # All heads together are ICR: it may miss some documents, but not all of its heads the same.
    with pytest.raises(Unfit, match=r"6 of 6 documents get no attention.*sliding window"):
        score_prompts(model, [prompt], None, Fold())


def test_nan_weights_in_a_layer_are_an_error():
    model = cut_model("qwen2")
    with torch.no_grad():
        model.decoder.layers[1].self_attn.k_proj.weight[0, 0] = float("nan")
    prompt = builder_for(model).build(lists()[0], ("what",))
    with pytest.raises(HostFault, match="NaN"):
        score_prompts(model, [prompt], HEADS, Fold())


def test_threads_that_share_a_model_do_not_share_what_a_pass_records():
    model = cut_model("qwen3")
    projection = model.decoder.layers[model.layers - 1].self_attn.q_proj
    hidden = torch.ones(1, 3, projection.projection.in_features)
    attention = model.decoder.layers[model.layers - 1].self_attn
    (announce,) = attention._forward_pre_hooks.values()
    announce(attention, (), {"recorder": Recorder()})  # this thread's pass records nothing
    assert not projection(hidden).any()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(projection, hidden).result().any()
    announce(attention, (), {"recorder": None})
    assert projection(hidden).any()
