"""Documents read apart equal eager attention under an explicit mask, in any order of the list."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from headrank.align.forward import selected_mass, selected_masses
from headrank.data.heads import Head, HeadSet, by_layer
from headrank.options.fold import Fold
from headrank.ranker.truncated import cut_last_layer, score_prompts
from headrank.reading.apart import read_blocks
from headrank.reading.layout import Blocks
from headrank.reading.passes import grouped, passes
from headrank.reading.prefill import read_prompt
from headrank.reading.prompt_tokens import Prompt, Suffix
from headrank.reading.recording import Recording
from headrank.reading.sliding_window import distances
from tests.helpers import models

HEADS = HeadSet((Head(2, 3), Head(1, 0), Head(2, 1)))
FOLD = Fold(aggregation="log-sum")


def random_blocks(
    seed=0, documents=7, suffixes=2, heads=1, offset=19, longest=14, double=False, every=None
):
    """Return a block prompt of random ids; with ``heads`` above 1 each suffix has its own.

    With ``double`` the last document says what the first does. With ``every`` the suffixes see
    every so many-th token of a document's text.
    """
    generator = np.random.default_rng(seed)

    def ids(count):
        return tuple(generator.integers(3, models.VOCABULARY, size=count).tolist())

    shared = tuple(ids(5 + number) for number in range(heads))
    prefix, bounds, spans = shared[0], [], []
    for width in generator.integers(4, longest, size=documents):
        start = len(prefix)
        prefix += ids(width)
        bounds.append((start, len(prefix)))
        spans.append((start + 2, len(prefix) - 1))
    if double:
        start, (first, last), (left, right) = bounds[-1][0], bounds[0], spans[0]
        prefix = prefix[:start] + prefix[first:last]
        bounds[-1] = (start, len(prefix))
        spans[-1] = (start + left - first, start + right - first)
    order = sorted(
        range(documents), key=lambda i: (bounds[i][1] - bounds[i][0], prefix[slice(*bounds[i])], i)
    )
    tails = [ids(8 - 2 * number) for number in range(suffixes)]
    ends = tuple(Suffix(tail, (2, len(tail) - number)) for number, tail in enumerate(tails))
    return Prompt(
        prefix,
        tuple(spans),
        ends,
        blocks=Blocks(shared, tuple(bounds), tuple(order), offset, every),
    )


def permuted(prompt, order):
    """Return the prompt with its documents in another order."""
    old = prompt.blocks
    prefix, bounds, spans = prompt.prefix[: len(old.heads[0])], [], []
    for number in order:
        (start, stop), (first, last) = old.documents[number], prompt.spans[number]
        shift = len(prefix) - start
        prefix += prompt.prefix[start:stop]
        bounds.append((start + shift, stop + shift))
        spans.append((first + shift, last + shift))
    place = {number: i for i, number in enumerate(order)}
    canonical = tuple(place[number] for number in old.order)
    return replace(
        prompt,
        prefix=prefix,
        spans=tuple(spans),
        blocks=replace(old, documents=tuple(bounds), order=canonical),
    )


def reference(model, prompt, number=0):
    """Return ``[layers, heads, docs]`` and ``[layers, heads, tokens]`` of eager attention."""
    rows, texts = attention_rows(model, prompt, number)
    rows = rows.mean(axis=2)
    tokens = np.concatenate([rows[:, :, text] for text in texts], axis=-1)
    return np.stack([rows[:, :, text].sum(axis=-1) for text in texts], axis=-1), tokens


@torch.no_grad()
def attention_rows(model, prompt, number=0):
    """Return eager attention ``[layers, heads, rows, keys]`` and each document's keys.

    Documents in the prompt's own order, one pass, one matrix of who sees whom.
    """
    own, suffix = prompt.blocks, prompt.suffixes[number]
    head = own.head(number)
    ids, positions, owner = list(head), list(range(len(head))), [-1] * len(head)
    texts, hidden = [], set()
    for place, ((start, stop), (first, last)) in enumerate(
        zip(own.documents, prompt.spans, strict=True)
    ):
        behind = len(ids) + last - start - 1
        text = range(len(ids) + first - start, behind + 1)
        if own.every is not None:
            text = [key for key in text if (behind - key) % own.every == 0]
            hidden |= {len(ids) + at for at in range(stop - start)} - set(text)
        texts.append(text)
        ids += prompt.prefix[start:stop]
        positions += range(len(head), len(head) + stop - start)
        owner += [place] * (stop - start)
    begin = len(ids)
    ids += suffix.ids
    positions += range(len(head) + own.offset, len(head) + own.offset + len(suffix.ids))
    owner += [-2] * len(suffix.ids)
    count = len(ids)
    seen = torch.zeros(count, count, dtype=torch.bool)
    for row in range(count):
        for key in range(row + 1):
            if owner[row] == -2:
                seen[row, key] = key not in hidden
            else:
                seen[row, key] = owner[key] in (-1, owner[row])
    window = getattr(model.decoder.config, "sliding_window", None)
    at = torch.tensor(positions)
    least = torch.finfo(model.decoder.dtype).min

    def additive(mask):
        return torch.zeros(mask.shape).masked_fill(~mask, least)[None, None]

    full = additive(seen)
    near = full if window is None else additive(seen & (at > at[:, None] - window))
    mask = {
        "gemma3_text": {"full_attention": full, "sliding_attention": near},
        "mistral": near,
    }.get(model.decoder.config.model_type, full)
    with models.eager(model):
        result = model.decoder(
            input_ids=torch.tensor([ids]),
            position_ids=at[None],
            attention_mask=mask,
            use_cache=False,
            output_attentions=True,
        )
    attentions = torch.cat(result.attentions).double().numpy()
    return attentions[:, :, begin + suffix.rows[0] : begin + suffix.rows[1]], texts


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("every", [None, 3, 10])
def test_all_heads_equal_eager_attention_under_the_mask(architecture, heads, every):
    model = models.loaded(architecture)
    prompt = random_blocks(3, heads=heads, every=every)
    masses = read_prompt(model, prompt, Recording(keep_tokens=True))
    assert len(masses) == 2
    for number, mass in enumerate(masses):
        documents, tokens = reference(model, prompt, number)
        assert np.allclose(mass.documents, documents, rtol=1e-4, atol=1e-7)
        assert np.allclose(mass.tokens, tokens, rtol=1e-4, atol=1e-7)
        assert not np.allclose(documents, documents[..., ::-1], rtol=1e-2)


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_largest_logits_differ_as_the_logarithms_of_eager_attention_do(architecture):
    """A softmax shifts a row's logits by one number, so differences between documents stay."""
    model = models.loaded(architecture)
    prompt = random_blocks(3)
    for number, mass in enumerate(read_prompt(model, prompt, Recording(keep_max_logits=True))):
        rows, texts = attention_rows(model, prompt, number)
        with np.errstate(divide="ignore"):
            largest = [np.log(rows[..., text].max(axis=-1)).mean(axis=-1) for text in texts]
        expected, found = np.stack(largest, axis=-1), mass.max_logits
        # A document out of a sliding window has none.
        seen = np.isfinite(expected)
        assert np.array_equal(np.isfinite(found), seen) and (seen.sum(axis=-1) > 1).all()
        shift = np.where(seen, found, np.nan) - np.where(seen, expected, np.nan)
        assert np.nanmax(np.nanmax(shift, axis=-1) - np.nanmin(shift, axis=-1)) < 1e-4
        assert (np.nanstd(np.where(seen, found, np.nan), axis=-1) > 1e-3).all()


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
@pytest.mark.parametrize("every", [None, 2])
def test_any_order_gives_the_same_bits(architecture, every):
    model = models.loaded(architecture)
    # Some lengths equal, and one document twice: its double must not take its place.
    prompt = random_blocks(4, documents=9, longest=7, double=True, every=every)
    expected = read_prompt(model, prompt, Recording(keep_tokens=True, keep_max_logits=True))
    widths = [stop - start for start, stop in prompt.token_spans]
    tokens = np.split(expected[0].tokens, np.cumsum(widths)[:-1], axis=-1)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(9)
        found = read_prompt(
            model, permuted(prompt, order), Recording(keep_tokens=True, keep_max_logits=True)
        )
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one.documents, other.documents[..., order])
            assert np.array_equal(one.max_logits, other.max_logits[..., order])
        moved = np.concatenate([tokens[i] for i in order], axis=-1)
        assert np.array_equal(found[0].tokens, moved)


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_a_cut_model_scores_as_the_whole_one(architecture):
    prompt = random_blocks(5, suffixes=2)
    whole = models.loaded(architecture)
    mass = read_prompt(whole, prompt)
    cut = models.loaded(architecture)
    del cut.decoder.layers[3:]
    config = cut.decoder.config
    config.num_hidden_layers = cut.layers = 3
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:3]
    cut_last_layer(cut)
    ((first, second),) = score_prompts(cut, [prompt], HEADS, FOLD)
    chosen = [(layer, head) for layer, heads in by_layer(HEADS).items() for head in heads]
    for found, one in zip((first, second), mass, strict=True):
        expected = np.log(sum(one.documents[layer, head].astype(float) for layer, head in chosen))
        assert np.allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
@pytest.mark.parametrize("every", [None, 3])
def test_training_reads_the_same_with_gradients_of_every_layer(architecture, every):
    model = models.loaded(architecture)
    prompt = random_blocks(6, every=every)
    expected = read_prompt(model, prompt)[0].documents
    logits = read_prompt(model, prompt, Recording(keep_max_logits=True))[0].max_logits
    wrapped = models.with_adapter(model, HEADS)
    mass = selected_mass(model, prompt, HEADS)
    with wrapped.disable_adapter():
        plain = selected_mass(model, prompt, HEADS)
        (largest,) = selected_masses(model, [prompt], HEADS, max_logits=True)
    chosen = [(layer, head) for layer, heads in by_layer(HEADS).items() for head in heads]
    for number, (layer, head) in enumerate(chosen):
        assert np.allclose(plain[number].detach().numpy(), expected[layer, head], rtol=1e-4)
        found = largest[number].detach().numpy()
        assert np.allclose(found, logits[layer, head], rtol=1e-4, atol=1e-5)
    mass.log().sum().backward()
    gradients = {
        name: parameter.grad
        for name, parameter in wrapped.named_parameters()
        if parameter.requires_grad
    }
    assert len(gradients) == 12
    assert all(grad is not None and grad.abs().max() > 0 for grad in gradients.values())


def test_gradients_equal_those_of_finite_differences():
    model = models.loaded("qwen3")
    model.decoder.double()
    prompt = random_blocks(7, documents=4)
    wrapped = models.with_adapter(model, HEADS)
    wrapped.double()
    (name, parameter) = next(
        (n, p) for n, p in wrapped.named_parameters() if "layers.0" in n and p.requires_grad
    )

    def value():
        return selected_mass(model, prompt, HEADS).clamp_min(1e-12).log()[:, 1].sum()

    value().backward()
    direction = torch.ones_like(parameter)
    step = 1e-3
    with torch.no_grad():
        parameter += step * direction
        above = value().item()
        parameter -= 2 * step * direction
        below = value().item()
    assert (parameter.grad * direction).sum().item() == pytest.approx(
        (above - below) / (2 * step), rel=1e-3
    ), name


@pytest.mark.parametrize("budget", [1, 20, 45, 1000])
def test_passes_bound_the_tokens_and_change_nothing(budget):
    model = models.loaded("gemma3")
    prompt = random_blocks(8, documents=9)
    expected = read_blocks(model, [prompt], last=3)
    with torch.inference_mode():
        found = read_blocks(model, [prompt], last=3, budget=budget)
    widths = prompt.blocks.widths
    dealt = passes(prompt.blocks.order, widths, budget)
    assert [one for documents in dealt for one in documents] == list(prompt.blocks.order)
    assert all(len(one) == 1 or widths[one].sum() <= budget for one in dealt)
    for (one,), (other,) in zip(found, expected, strict=True):
        for layer in range(4):
            assert torch.allclose(one.mass[layer][0], other.mass[layer][0], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(("device", "waste", "most"), [("cpu", 0.1, 20), ("meta", 0.5, 5)])
def test_padding_of_a_group_is_bounded(device, waste, most):
    widths = sorted(np.random.default_rng(1).integers(4, 200, size=300).tolist())
    groups = grouped(widths, 11, torch.device(device))
    assert groups[0].start == 11 and groups[-1].stop == 11 + sum(widths)
    assert all(one.stop == other.start for one, other in itertools.pairwise(groups))
    for group in groups:
        tokens = group.stop - group.start
        assert group.count * group.width <= (1 + waste) * tokens
    assert len(groups) < most
    if device == "meta":
        return
    states = torch.randn(1, 2, 11 + sum(widths), 3)
    back = torch.cat([g.rows(g.batch(states).transpose(1, 2)) for g in groups], dim=1)
    assert torch.equal(back.transpose(1, 2), states[:, :, 11:])


def test_the_lists_of_a_batch_are_those_of_single_ones():
    model = models.loaded("qwen2")
    prompts = [random_blocks(seed, documents=3 + seed) for seed in range(3)]
    together = score_prompts(model, prompts, HEADS, FOLD)
    for prompt, scores in zip(prompts, together, strict=True):
        (alone,) = score_prompts(model, [prompt], HEADS, FOLD)
        for one, other in zip(alone, scores, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_distances_count_positions():
    prompt = random_blocks(2, documents=3, offset=30)
    first = 30 + prompt.suffixes[0].rows[0]
    widths = prompt.blocks.widths
    # Each text ends one token before its document does.
    assert distances(prompt).tolist() == [first - (width - 2) for width in widths]


def test_a_document_out_of_a_window_gets_nothing_and_the_distance_says_so():
    model = models.loaded("mistral-window")  # 24 tokens
    prompt = random_blocks(9, documents=5, offset=31, longest=16)
    mass = read_prompt(model, prompt)[0].documents
    hidden = distances(prompt) >= 24
    assert hidden.any() and not hidden.all()
    assert (mass[..., hidden] == 0).all() and (mass[..., ~hidden].sum(axis=(0, 1)) > 0).all()
