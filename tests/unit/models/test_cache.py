"""The cache goes to a model under the name that its transformers takes."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from headrank.baselines.generation.batched import greedy_together
from headrank.baselines.generation.model import greedy, load_generator
from headrank.models.cache import cache_argument
from headrank.reading.prefill import read_prompt
from tests.helpers import models
from tests.helpers import tiny_models as tiny
from tests.unit.reading.test_blocks import random_blocks

NAMES = ("past_key_values", "cache")


def taking(model, name: str, taken: list):
    """Let a model of transformers take its cache under one name only; return the model.

    Either name is that of the version that is not installed.
    """
    own = type(model)
    real = next(one for one in reversed(NAMES) if one in inspect.signature(own.forward).parameters)

    def forward(self, **given):
        (other,) = set(NAMES) - {name}
        assert other not in given, f"{other} is not a name that this model takes"
        taken.append(given.pop(name))
        return own.forward(self, **given, **{real: taken[-1]})

    named = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
    forward.__signature__ = inspect.Signature([named])
    model.__class__ = type(own.__name__, (own,), {"forward": forward})
    return model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lora", [False, True], ids=["plain", "lora"])
@pytest.mark.parametrize(
    "prompt", [models.random_prompt(documents=4), random_blocks(3)], ids=["joint", "block"]
)
def test_a_reading_is_the_same_under_either_name(name, lora, prompt):
    readings, taken = [], []
    for renamed in (False, True):
        model = models.loaded("qwen3")
        if renamed:
            taking(model.decoder, name, taken)
        if lora:
            model.decoder = models.with_adapter(model)
        readings.append(read_prompt(model, prompt)[0].documents)
    np.testing.assert_array_equal(*readings)
    assert taken and all(one is not None for one in taken)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_the_same_under_either_name(name):
    generator = load_generator(tiny.folder("llama"))
    prompts = [generator.tokenizer.encode(text) for text in tiny.TEXTS[:2]]
    expected = [greedy(generator, ids, 4) for ids in prompts]
    taken = []
    taking(generator.model, name, taken)
    assert [greedy(generator, ids, 4) for ids in prompts] == expected
    assert greedy_together(generator, prompts, [4, 4]) == expected
    assert taken and all(one is not None for one in taken)


@pytest.mark.filterwarnings("error:.past_key_values:FutureWarning")
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_transformers_warns_of_no_name_that_it_gives_up(architecture):
    model = models.loaded(architecture)
    assert read_prompt(model, models.random_prompt(documents=4))
    (name,) = cache_argument(model.decoder, None)
    assert name in inspect.signature(type(model.decoder).forward).parameters
