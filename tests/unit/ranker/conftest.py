"""An adapter that several modules rank with."""

from __future__ import annotations

import pytest

from headrank.align.options import AlignOptions
from headrank.fitting import AlignRecipe, align_heads
from headrank.options.prompt import PromptOptions
from tests.helpers import tiny_models as tiny
from tests.helpers.rankers import HEADS, examples


@pytest.fixture(scope="session")
def adapter(tmp_path_factory):
    """Return the folder of an adapter whose weights are far from zero."""
    folder = tmp_path_factory.mktemp("aligned") / "adapter"
    align_heads(
        tiny.folder("qwen3"),
        HEADS,
        examples(),
        folder,
        validation=0.3,
        recipe=AlignRecipe(
            options=AlignOptions(epochs=2, learning_rate=0.05),
            prompt=PromptOptions(instruction="Rank."),
        ),
        progress=False,
    )
    return folder
