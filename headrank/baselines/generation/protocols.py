"""The generative baselines: listwise permutations, pointwise yes or no, query likelihood.

Listwise follows RankGPT's protocol (arXiv 2304.09542): windows of 20 passages with a
stride of 10, from the end of the list to its head; the model writes the numbers of a
window's passages, best first, by greedy decoding. Pointwise has the protocol of
Qwen3-Reranker (arXiv 2506.05176): one prompt a passage, no thoughts, and the log-odds of
yes against no at the last token; its fine-tuned weights and its texts are not used here.
Query likelihood is that of UPR (Sachan et al. 2022, arXiv 2204.07496) after Ponte and Croft
(1998). All prompt texts are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Generator as Coroutine

import numpy as np

from headrank.baselines.generation.answers import Answer, Generated, read_permutation
from headrank.baselines.generation.batched import greedy_together
from headrank.baselines.generation.model import Generator, next_logits
from headrank.baselines.generation.prompts import (
    LIKELIHOOD,
    LISTWISE,
    POINTWISE,
    THOUGHTS_END,
    limited,
    prompt_ids,
)
from headrank.baselines.generation.windows import TOKENS_A_NUMBER, windows
from headrank.data.candidates import CandidateList
from headrank.options.generative import GenerativeOptions
from headrank.options.prompt import PromptOptions
from headrank.reading.plain_text import plain_tokenizer

Write = Callable[[Generator, Sequence[Sequence[int]], Sequence[int]], list[list[int]]]
"""Returns the token ids of the answers to some prompts, at most so many each."""

Steps = Coroutine[tuple[list[int], int], list[int], Generated]
"""Yields each prompt with the most tokens of its answer, is sent the answer, returns the order."""


class GenerativeMethod(GenerativeOptions):
    """A protocol with its settings, ready to rank."""

    def rank(
        self,
        generator: Generator,
        lists: Sequence[CandidateList],
        prompt: PromptOptions | None = None,
        write: Write = greedy_together,
    ) -> list[Generated]:
        """Return the scores of some lists, asked side by side where answers are written.

        Args:
            lists: all of them are one batch, whatever ``batch`` says.
            prompt: gives the limits on their documents.
        """
        if self.protocol == "pointwise":
            return [rank_pointwise(generator, one, prompt=prompt) for one in lists]
        if self.protocol == "query-likelihood":
            return [rank_query_likelihood(generator, one, prompt=prompt) for one in lists]
        return rank_listwise(
            generator,
            lists,
            window=self.window,
            stride=self.stride,
            thinking_tokens=self.thinking_tokens if self.thinking else None,
            prompt=prompt,
            write=write,
        )


def rank_listwise(
    generator: Generator,
    lists: Sequence[CandidateList],
    *,
    window: int = 20,
    stride: int = 10,
    thinking_tokens: int | None = None,
    prompt: PromptOptions | None = None,
    write: Write = greedy_together,
) -> list[Generated]:
    """Return the order that generated permutations give to each list.

    The next windows of all lists are asked about together. Scores are ``docs`` for the first
    place down to 1 for the last.

    Args:
        thinking_tokens: lets the model think first, in at most so many tokens; None asks for
            no thoughts.
        prompt: its limits on documents hold, its texts do not.

    Raises:
        HeadRankError: windows that leave documents out, thinking that the model's template
            does not know, or a window that does not fit the context with its answer.
    """
    tasks = [
        _listwise(generator, one, window, stride, thinking_tokens, prompt or PromptOptions())
        for one in lists
    ]
    asked = {place: next(task) for place, task in enumerate(tasks)}
    made: dict[int, Generated] = {}
    while asked:
        prompts, most = zip(*asked.values(), strict=True)
        answers = write(generator, prompts, most)
        for place, written in zip(list(asked), answers, strict=True):
            try:
                asked[place] = tasks[place].send(written)
            except StopIteration as end:
                made[place] = end.value
                del asked[place]
    return [made[place] for place in range(len(tasks))]


def _listwise(
    generator: Generator,
    candidates: CandidateList,
    window: int,
    stride: int,
    thinking_tokens: int | None,
    prompt: PromptOptions,
) -> Steps:
    """Yield the prompt of each window in turn: the answer to one decides the next."""
    order = list(range(len(candidates.doc_ids)))
    thinking = thinking_tokens is not None
    read, new, answers = 0, 0, []
    for start, stop in windows(len(order), window, stride):
        part = order[start:stop]
        options = limited(
            LISTWISE,
            prompt,
            header=f"{LISTWISE.header}{candidates.query}\n\n",
            instruction=LISTWISE.instruction.format(count=len(part)),
        )
        most = TOKENS_A_NUMBER * len(part) + (thinking_tokens or 0)
        ids = prompt_ids(generator, options, candidates.take(part), room=most, thinking=thinking)
        written = yield ids, most
        answer = read_permutation(
            generator.tokenizer.decode(written, skip_special_tokens=True),
            len(part),
            start=start,
            cut=len(written) >= most,
            thoughts_end=THOUGHTS_END if thinking else None,
        )
        order[start:stop] = [part[place] for place in answer.order]
        answers.append(answer)
        read += len(ids)
        new += len(written)
    scores = np.empty(len(order))
    scores[order] = np.arange(len(order), 0, -1)
    return Generated(scores, len(answers), read, new, tuple(answers))


def rank_pointwise(
    generator: Generator, candidates: CandidateList, *, prompt: PromptOptions | None = None
) -> Generated:
    """Return the log-odds of yes against no for each passage of one list.

    Both words count in lower case and capitalised. The answer on record is the likeliest
    next token; no token is written, and the scores parse none.

    Raises:
        HeadRankError: a passage that does not fit the context.
    """
    tokenizer = generator.tokenizer
    yes, no = _first_tokens(generator, "yes"), _first_tokens(generator, "no")
    options = limited(POINTWISE, prompt or PromptOptions())
    scores, read, answers = [], 0, []
    for place in range(len(candidates.doc_ids)):
        ids = prompt_ids(generator, options, candidates.take([place]), room=1)
        logits = next_logits(generator, ids)[-1]
        scores.append(float(logits[yes].logsumexp(0) - logits[no].logsumexp(0)))
        best = int(logits.argmax())
        answers.append(
            Answer(tokenizer.decode([best]), start=place, other_text=best not in (*yes, *no))
        )
        read += len(ids)
    return Generated(np.array(scores), len(scores), read, answers=tuple(answers))


def rank_query_likelihood(
    generator: Generator, candidates: CandidateList, *, prompt: PromptOptions | None = None
) -> Generated:
    """Return the mean log-probability of the query's tokens behind each passage of one list.

    The query stands where the model's answer would. The sum over its tokens would rank
    alike: every passage of a list is asked for the same tokens.

    Raises:
        HeadRankError: a passage that does not fit the context with the query.

    Source: UPR, Sachan et al. 2022, arXiv 2204.07496.
    """
    options = limited(LIKELIHOOD, prompt or PromptOptions())
    query = (
        plain_tokenizer(generator.tokenizer).encode(candidates.query, add_special_tokens=False).ids
    )
    scores, read = [], 0
    for place in range(len(candidates.doc_ids)):
        one = candidates.take([place])
        ids = [*prompt_ids(generator, options, one, query="", room=len(query)), *query]
        # The last logits foretell what would follow the query.
        logits = next_logits(generator, ids, keep=len(query) + 1)[:-1]
        known = logits.log_softmax(-1)[range(len(query)), query]
        scores.append(float(known.double().mean()))
        read += len(ids)
    return Generated(np.array(scores), len(scores), read)


def _first_tokens(generator: Generator, word: str) -> list[int]:
    """Return the first token of a word, in lower case and capitalised."""
    forms = (word, word.capitalize())
    ids = [generator.tokenizer.encode(form, add_special_tokens=False)[0] for form in forms]
    return sorted(set(ids))
