"""The prompts of the training lists of an experiment's recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions


def prompt_problems(config: Mapping) -> Iterator[str]:
    """Yield what a recipe's own budget of documents makes wrong with the prompt."""
    for name, recipe in config["alignments"].items():
        tokens = recipe["document_tokens"]
        try:
            PromptOptions(**config["prompt"] | {"document_tokens": tokens})
        except HeadRankError as error:
            yield f"alignments.{name}.document_tokens is {tokens}: {error}"
