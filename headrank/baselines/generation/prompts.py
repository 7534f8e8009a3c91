"""Prompts that ask for an answer, with the model's own chat template, thinking off or on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrank.baselines.generation.model import Generator
from headrank.data.candidates import CandidateList
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.reading.chat_wrapper import chat_wrapper
from headrank.reading.prompt import PromptBuilder

THOUGHTS_END = "</think>"

LISTWISE = PromptOptions(
    header="Rank passages by how well they answer a query.\n\nQuery: ",
    instruction="Order all {count} passages above from best to worst for the query below.",
    query="\n\nQuery: {query}\n\nAnswer with the numbers alone, best first: [2] > [3] > [1]",
    rows="suffix",
)
POINTWISE = PromptOptions(
    header="",
    marker="Passage: ",
    instruction="Does the passage answer the query? Reply with yes or no.",
    query="\n\nQuery: {query}",
    rows="suffix",
)
# The query is the answer that is scored, so it stands behind the whole prompt.
LIKELIHOOD = PromptOptions(
    header="",
    marker="Passage: ",
    instruction="Write a search query that this passage answers.",
    query="{query}\n",
    rows="suffix",
)


@dataclass
class AnswerPrompt(PromptBuilder):
    """A prompt builder whose chat template may ask for thinking.

    Raises:
        HeadRankError: thinking is asked of a template that has no such switch.
    """

    thinking: bool = False

    def _wrapper(self) -> tuple[str, str]:
        before, after = super()._wrapper()
        if not self.thinking:
            return before, after
        template = self.tokenizer.chat_template if self.options.chat else None
        if template:
            opened = chat_wrapper(self.tokenizer, thinking=True)
            if opened != (before, after) and THOUGHTS_END in str(template):
                return opened
        raise HeadRankError(
            "thinking is true, but the model's chat template has no enable_thinking that ends in "
            f"{THOUGHTS_END} (Qwen3's has); set thinking: false"
        )


def prompt_ids(
    generator: Generator,
    options: PromptOptions,
    candidates: CandidateList,
    *,
    query: str | None = None,
    room: int = 0,
    thinking: bool = False,
) -> list[int]:
    """Return a whole prompt's token ids; texts of documents never become control tokens.

    Args:
        query: stands in the query's place; by default the list's own.
        room: tokens of the context that are kept for what follows the prompt.

    Raises:
        HeadRankError: as :meth:`PromptBuilder.build`, or nothing is left beside ``room``.
    """
    left = generator.context - room
    if left < 1:
        raise HeadRankError(
            f"query {candidates.query_id}: {room} tokens are kept for the answer, the model's "
            f"context is {generator.context}; use a smaller window or fewer thinking_tokens"
        )
    builder = AnswerPrompt(generator.tokenizer, options, left, thinking=thinking)
    try:
        prompt = builder.build(candidates, (candidates.query if query is None else query,))
    except HeadRankError as error:
        if "context" not in str(error):
            raise
        raise HeadRankError(f"{error} ({room} more tokens are kept for the answer)") from None
    return [*prompt.prefix, *prompt.suffixes[0].ids]


def limited(texts: PromptOptions, prompt: PromptOptions, **own: str) -> PromptOptions:
    """Return the texts of a protocol with the limits of the experiment's prompt."""
    return replace(
        texts,
        document_tokens=prompt.document_tokens,
        overlong=prompt.overlong,
        chat=prompt.chat,
        **own,
    )
