"""The prompt of an experiment's config: its own, and those of the recipes' training lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrank.errors import HeadRankError
from headrank.prompt import PromptOptions


def prompt_problems(config: Mapping) -> Iterator[str]:
    """Yield what the options of a prompt refuse together, each being of the right form alone."""
    try:
        PromptOptions(**config["prompt"])
    except HeadRankError as error:
        yield str(error)
        return
    for name, recipe in config["alignments"].items():
        tokens = recipe["document_tokens"]
        try:
            PromptOptions(**config["prompt"] | {"document_tokens": tokens})
        except HeadRankError as error:
            yield f"alignments.{name}.document_tokens is {tokens}: {error}"
