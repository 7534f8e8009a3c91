"""The prompts of an experiment's methods, and of the training lists of its recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.workflow.config.layouts import method_layout, prompt_in, recipe_layout


def prompt_problems(config: Mapping) -> Iterator[str]:
    """Yield what another layout, or a recipe's own budget of documents, makes wrong."""
    for name, method in config["methods"].items():
        if method["kind"] == "attention":
            layout = method_layout(config, name)
            try:
                PromptOptions(**prompt_in(config, layout))
            except HeadRankError as error:
                yield f"methods.{name} reads layout {layout}: {error}"
    for name, recipe in config["alignments"].items():
        tokens = recipe["document_tokens"]
        prompt = prompt_in(config, recipe_layout(config, name))
        try:
            PromptOptions(**prompt | {"document_tokens": tokens})
        except HeadRankError as error:
            yield f"alignments.{name}.document_tokens is {tokens}: {error}"
