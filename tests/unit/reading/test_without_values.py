"""Readings and training on tensors that have a shape and no values (torch's device ``meta``).

Whoever asks such a tensor for a value fails, and so does who mixes it with one of the CPU. A GPU
would stop there until all its work is done, or fail too.
"""

from __future__ import annotations

import pytest
import torch

from headrank.align import losses
from headrank.align.forward import HeadReader
from headrank.data.heads import Head, HeadSet
from headrank.options.prompt import LAYOUTS, PromptOptions
from headrank.reading.document_store import DocumentStore, Shelf, state_of
from headrank.reading.layout import STORABLE
from headrank.reading.prefill import read_prompts
from headrank.reading.prompt import PromptBuilder
from headrank.reading.recording import Recording
from tests.helpers import models

HEADS = HeadSet((Head(2, 3), Head(1, 0), Head(2, 1)))
RECORDINGS = {
    1: Recording(keep_tokens=True, keep_max_logits=True),
    3: Recording(heads={1: [0], 2: [1, 3]}, deepest=2),
}
"""What is recorded of one list, and of lists side by side."""

ONCE_A_PASS = pytest.mark.xfail(
    strict=True,
    reason="transformers asks, before the first layer, what is padded or where texts begin",
)


def prompt_of(layout):
    return PromptOptions(layout=layout, **({} if layout == "joint" else {"query_offset": 110}))


def prompts(layout, count):
    """Return prompts of several suffixes, of unlike length."""
    builder = PromptBuilder(models.tokenizer(), prompt_of(layout))
    return [builder.build(models.candidates(models.TEXTS[number:])) for number in range(count)]


@pytest.mark.parametrize("count", RECORDINGS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_no_reading_waits_for_a_value(architecture, layout, count, request):
    if (architecture, layout, count) == ("gemma3", "joint", 3):
        request.applymarker(ONCE_A_PASS)
    model = models.loaded(architecture)
    model.decoder.to("meta")
    for recorder in read_prompts(model, prompts(layout, count), RECORDINGS[count]):
        for masses in recorder.mass.values():
            assert [mass.device.type for mass in masses] == ["meta"] * count


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("layout", STORABLE)
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_no_reading_of_stored_documents_does(architecture, layout, int8):
    model = models.loaded(architecture)
    state = state_of(model, None)
    model.decoder.to("meta")
    shelf = Shelf(DocumentStore(int8=int8), state, model.device)
    for hits in (0, len(models.TEXTS)):
        read_prompts(model, prompts(layout, 1), shelf=shelf)
        assert shelf.store.hits == hits


@pytest.mark.parametrize("scale", ["log", "max-logit"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_no_training_does_before_its_loss_is_told(architecture, layout, scale, request):
    if layout == "joint":
        request.applymarker(ONCE_A_PASS)
    window = {"sliding_window": 200} if architecture in ("mistral-window", "gemma3") else {}
    model = models.loaded(architecture, **window)
    wrapped = models.with_adapter(model, HEADS)
    wrapped.to("meta").train()
    builder = PromptBuilder(model.tokenizer, prompt_of(layout), model.context)
    reader = HeadReader(model, builder, HEADS, scale=scale)
    lists = [models.candidates(models.TEXTS[number:]) for number in range(2)]
    chosen, rejected = (torch.tensor(pairs, device="meta") for pairs in ([0, 1], [2, 3]))
    found = [losses.relevance(values, scale) for values in reader.read(lists)]
    total = sum(losses.preference_loss(z, chosen, rejected, 1.0, None) for z in found)
    total.backward()
    trained = [parameter for parameter in wrapped.parameters() if parameter.requires_grad]
    assert trained and all(parameter.grad.device.type == "meta" for parameter in trained)
