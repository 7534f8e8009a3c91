"""The attention function: what it records, what it leaves alone, what it never allocates."""

import itertools

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from headrank.align.forward import selected_mass
from headrank.data.heads import Head, HeadSet, every_head
from headrank.models.attention import ReadingComplete, Recorder, Target, per_query_head
from headrank.reading.prefill import read_prompt
from headrank.reading.recording import Recording
from tests.helpers import models


def by_hand(query, key, rows, scaling, allowed):
    """Return ``[heads, keys]`` with loops: mean over the rows of each row's softmax."""
    heads, groups = query.shape[1], query.shape[1] // key.shape[1]
    offset = key.shape[2] - query.shape[2]
    result = np.zeros((heads, key.shape[2]))
    for head in range(heads):
        for row in range(*rows):
            logits = [
                float(query[0, head, row - offset] @ key[0, head // groups, t]) * scaling
                if allowed(row, t)
                else -np.inf
                for t in range(key.shape[2])
            ]
            weights = np.exp(np.array(logits) - max(logits))
            result[head] += weights / weights.sum() / (rows[1] - rows[0])
    return result


@pytest.fixture
def states():
    """Return queries of the last 6 of 10 positions for 4 heads, keys of 2 key heads."""
    generator = torch.Generator().manual_seed(3)
    return (
        torch.randn(1, 4, 6, 8, generator=generator),
        torch.randn(1, 2, 10, 8, generator=generator),
    )


CPU = torch.device("cpu")
INDEX = np.array([-1, 0, 0, -1, 1, 1, 1])
TARGET = Target.of((7, 9), INDEX, 2, CPU)


def causal(row, position):
    return position <= row


def window(row, position):
    return row - 4 < position <= row


@pytest.mark.parametrize("form", ["none", "boolean", "additive"])
@pytest.mark.parametrize("allowed", [causal, window])
def test_recorded_mass_is_the_softmax_by_hand(states, form, allowed):
    query, key = states
    seen = torch.tensor([[allowed(row, t) for t in range(10)] for row in range(4, 10)])
    mask = {
        "none": None,
        "boolean": seen[None, None],
        "additive": torch.zeros(1, 1, 6, 10).masked_fill(~seen, torch.finfo(torch.float32).min),
    }[form]
    if form == "none" and allowed is window:
        allowed = causal  # no mask means causal, whatever the model's window
    recorder = Recorder(targets=(TARGET,), keep_tokens=True)
    recorder.observe(5, query, key, mask, 0.7)

    rows = by_hand(query, key, (7, 9), 0.7, allowed)
    expected = np.stack([rows[:, 1:3].sum(1), rows[:, 4:7].sum(1)], axis=1)
    np.testing.assert_allclose(recorder.mass[5][0].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(recorder.tokens[5][0].numpy(), rows[:, [1, 2, 4, 5, 6]], atol=1e-6)


@pytest.mark.parametrize("allowed", [causal, window])
def test_the_largest_logit_of_a_document_by_hand(states, allowed):
    query, key = states
    seen = torch.tensor([[allowed(row, t) for t in range(10)] for row in range(4, 10)])
    recorder = Recorder(targets=(TARGET,), keep_max_logits=True)
    recorder.observe(5, query, key, seen[None, None], 0.7)
    expected = np.zeros((4, 2))
    for head, (number, tokens) in itertools.product(range(4), enumerate([(1, 2), (4, 5, 6)])):
        for row in (7, 8):
            logits = [
                0.7 * float(query[0, head, row - 4] @ key[0, head // 2, t])
                for t in tokens
                if allowed(row, t)
            ]
            expected[head, number] += max(logits, default=-np.inf) / 2
    np.testing.assert_allclose(recorder.max_logits[5][0].numpy(), expected, rtol=1e-5)
    assert np.isinf(expected).any() == (allowed is window)
    bare = Recorder(targets=(TARGET,))
    bare.observe(5, query, key, seen[None, None], 0.7)
    assert torch.equal(bare.mass[5][0], recorder.mass[5][0]) and not bare.max_logits


def test_chosen_heads_are_rows_of_all_heads(states):
    query, key = states
    whole, part = Recorder(targets=(TARGET,)), Recorder(targets=(TARGET,), heads={5: [2, 1]})
    whole.observe(5, query, key, None, 1.0)
    part.observe(5, query, key, None, 1.0)
    torch.testing.assert_close(part.mass[5][0], whole.mass[5][0][[2, 1]])


def test_sums_of_a_gpu_are_those_of_the_cpu():
    """There a product takes the place of adding by index, which has no order on a GPU."""
    generator = np.random.default_rng(5)
    index = generator.integers(-1, 40, size=900)
    target = Target.of((0, 1), index, 41, CPU, generator.permutation(np.flatnonzero(index >= 0)))
    kept = torch.from_numpy(generator.random((16, len(target.places)), dtype=np.float32))
    assert target.members.shape == (len(target.places), 41)
    sums = target.sums(kept)
    assert (sums[:, 40] == 0).all()
    torch.testing.assert_close(kept @ target.members, sums, rtol=1e-6, atol=1e-6)


def test_key_heads_repeated_give_what_grouped_heads_give(states):
    query, key = states
    value = key.flip(2)
    rows, whole = query.repeat(1, 1, 2, 1)[:, :, :10], {"is_causal": True}
    attend = torch.nn.functional.scaled_dot_product_attention
    grouped = attend(rows, key, value, enable_gqa=True, **whole)
    every = [per_query_head(one, rows) for one in (key, value)]
    torch.testing.assert_close(attend(rows, *every, enable_gqa=True, **whole), grouped)


def test_each_sequence_of_a_batch_has_its_own_target(states):
    query, key = states
    other = Target.of((4, 10), np.array([0, 1, 2]), 3, CPU)
    batch = Recorder(targets=(TARGET, other))
    batch.observe(0, query.repeat(2, 1, 1, 1), key.repeat(2, 1, 1, 1), None, 1.0)
    for item, target in enumerate((TARGET, other)):
        alone = Recorder(targets=(target,))
        alone.observe(0, query, key, None, 1.0)
        torch.testing.assert_close(batch.mass[0][item], alone.mass[0][0])


def test_unwanted_layers_are_not_recorded_and_the_deepest_ends_the_pass(states):
    query, key = states
    recorder = Recorder(targets=(TARGET,), layers=frozenset({1, 2}), deepest=2)
    recorder.observe(0, query, key, None, 1.0)
    recorder.observe(1, query, key, None, 1.0)
    with pytest.raises(ReadingComplete):
        recorder.observe(2, query, key, None, 1.0)
    assert sorted(recorder.mass) == [1, 2]
    assert not recorder.tokens


def test_recorder_without_targets_records_nothing(states):
    recorder = Recorder(deepest=3)
    recorder.observe(0, *states, None, 1.0)
    assert not recorder.mass


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_output_is_untouched_by_recording(architecture):
    model = models.loaded(architecture)
    prompt = models.random_prompt()
    ids = torch.tensor([prompt.prefix])
    target = Target.of((30, 33), prompt.document_index(), len(prompt.spans), CPU)
    recorder = Recorder(targets=(target,))
    with torch.no_grad():
        recorded = model.decoder(input_ids=ids, recorder=recorder).last_hidden_state
        model.decoder.config._attn_implementation = "sdpa"
        plain = model.decoder(input_ids=ids).last_hidden_state
    assert sorted(recorder.mass) == list(range(models.LAYERS))
    torch.testing.assert_close(recorded, plain, rtol=0, atol=0)


class Shapes(TorchDispatchMode):
    """Notes every floating-point tensor that any operation makes, backward ones included."""

    def __init__(self, kinds):
        super().__init__()
        self.kinds, self.shapes = kinds, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, torch.Tensor) and value.dtype in self.kinds:
                self.shapes.add(tuple(value.shape))
        return result

    def square(self, length):
        """Return shapes that hold a row and a column for nearly every token."""
        return [s for s in self.shapes if sum(size >= length // 2 for size in s) >= 2]


# Longer than the vocabulary and any width of the tiny models, so a large size is a length.
LONG = dict(documents=120, suffixes=2)
FLOATS = {torch.float32, torch.float64, torch.bfloat16, torch.float16}


def test_the_instrument_sees_square_matrices():
    model = models.loaded("llama")
    prompt = models.random_prompt(**LONG)
    with Shapes(FLOATS) as shapes:
        models.brute_force(model, prompt)
    assert shapes.square(len(prompt.prefix))


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "mistral-window", "gemma3"])
def test_reading_never_holds_a_square_matrix(architecture):
    model = models.loaded(architecture)
    prompt = models.random_prompt(**LONG)
    # transformers' own window masks are square, boolean and one a kind of layer; without a
    # window not even a mask may be.
    kinds = (
        FLOATS if "window" in architecture or architecture == "gemma3" else FLOATS | {torch.bool}
    )
    with Shapes(kinds) as shapes:
        read_prompt(model, prompt, Recording(keep_tokens=True))
    assert len(prompt.prefix) > 2 * models.VOCABULARY
    assert not shapes.square(len(prompt.prefix))


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_training_never_holds_a_square_matrix(architecture):
    model = models.loaded(architecture)
    heads = every_head(models.LAYERS, models.HEADS)
    models.with_adapter(model, heads)
    prompt = models.random_prompt(**LONG)
    with Shapes(FLOATS | {torch.bool}) as shapes:
        selected_mass(model, prompt, heads).log().sum().backward()
    assert not shapes.square(len(prompt.prefix))


def test_softmax_rows_are_the_querys_only(monkeypatch):
    model = models.loaded("llama")
    prompt = models.random_prompt(documents=20)
    rows = []
    softmax = torch.Tensor.softmax

    def noted(self, *args, **kwargs):
        rows.append(tuple(self.shape))
        return softmax(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "softmax", noted)
    read_prompt(model, prompt)
    expected = [
        (models.HEADS, s.rows[1] - s.rows[0], len(prompt.prefix) + len(s.ids))
        for s in prompt.suffixes
        for _ in range(models.LAYERS)
    ]
    assert rows == expected
    rows.clear()
    selected_mass(model, prompt, HeadSet((Head(1, 2), Head(3, 0), Head(3, 1))))
    first = prompt.suffixes[0]
    count, length = first.rows[1] - first.rows[0], len(prompt.prefix) + len(first.ids)
    assert rows == [(1, count, length), (2, count, length)]
