"""The generative baselines: listwise permutations in sliding windows, pointwise yes or no.

Listwise follows RankGPT's protocol (arXiv 2304.09542): windows of 20 passages with a
stride of 10, from the end of the list to its head; the model writes the numbers of a
window's passages, best first. Pointwise asks for each passage alone whether it answers
the query and takes the log-odds of yes against no. Both decode greedily; texts are ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from headrank.errors import HeadRankError
from headrank.lists import CandidateList
from headrank.models import DTYPES
from headrank.prompt import PromptBuilder, PromptOptions

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
_NUMBER = re.compile(r"\d+")
# "[20] > " takes this many tokens where digits are tokens of their own.
_TOKENS_A_NUMBER = 6


@dataclass(frozen=True)
class Generator:
    """A causal language model with its tokenizer; ``stop`` holds the ids that end an answer."""

    model: Any
    tokenizer: Any
    context: int
    stop: frozenset[int]


@dataclass(frozen=True)
class Generated:
    """What a generative method made of one list, and what it cost.

    Attributes:
        scores: ``[docs]`` in the list's order, higher is better.
        passes: prompts that were prefilled.
        prompt_tokens, new_tokens: read and written, over all passes.
        malformed: answers that are no permutation of their window (listwise).
    """

    scores: np.ndarray
    passes: int
    prompt_tokens: int
    new_tokens: int = 0
    malformed: int = 0


def load_generator(
    path: str | os.PathLike, *, dtype: str = "float32", device: str = "cpu"
) -> Generator:
    """Return a model that writes, with its language-model head and SDPA attention.

    Raises:
        HeadRankError: unknown dtype, or nothing to load there.
    """
    if dtype not in DTYPES:
        raise HeadRankError(f"dtype {dtype!r} is unknown; allowed: {', '.join(DTYPES)}")
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=DTYPES[dtype], attn_implementation="sdpa"
        )
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise HeadRankError(
            f"{path}: no model can be loaded ({str(error).splitlines()[0]})"
        ) from None
    model.eval().requires_grad_(False).to(device)
    ends = {tokenizer.eos_token_id, model.config.eos_token_id}
    return Generator(
        model,
        tokenizer,
        model.config.max_position_embeddings,
        frozenset(end for end in ends if isinstance(end, int)),
    )


def windows(count: int, window: int = 20, stride: int = 10) -> Iterator[tuple[int, int]]:
    """Yield ``[start, stop)`` of each window, from the end of the list to its head.

    Raises:
        HeadRankError: a stride of 0, or longer than the window (documents would be left out).
    """
    if not 1 <= stride <= window:
        raise HeadRankError(f"stride is {stride}, window is {window}; use 1 <= stride <= window")
    stop = count
    while True:
        start = max(0, stop - window)
        yield start, stop
        if start == 0:
            return
        stop -= stride


def parse_permutation(answer: str, count: int) -> tuple[list[int], bool]:
    """Return the order an answer gives to ``count`` passages, and whether it was well formed.

    Numbers count from 1 in the answer and from 0 in the result. Numbers beyond the window
    and repeated ones are skipped; passages that are not named follow in their old order.
    """
    numbers = [int(text[:9]) - 1 for text in _NUMBER.findall(answer)]
    order = [n for n in dict.fromkeys(numbers) if 0 <= n < count]
    complete = order + [n for n in range(count) if n not in order]
    return complete, numbers == complete


def rank_listwise(
    generator: Generator,
    candidates: CandidateList,
    *,
    window: int = 20,
    stride: int = 10,
    document_tokens: int | None = None,
    write: Callable[[Generator, Sequence[int], int], list[int]] | None = None,
) -> Generated:
    """Return the order that generated permutations give to one list.

    Args:
        write: returns an answer's token ids for a prompt's; by default greedy decoding.
    """
    write = write or greedy
    order = list(range(len(candidates.doc_ids)))
    passes = read = new = malformed = 0
    for start, stop in windows(len(order), window, stride):
        part = order[start:stop]
        options = replace(
            LISTWISE,
            header=f"{LISTWISE.header}{candidates.query}\n\n",
            instruction=LISTWISE.instruction.format(count=len(part)),
            document_tokens=document_tokens,
        )
        ids = _ids(generator, options, _take(candidates, part))
        answer = write(generator, ids, _TOKENS_A_NUMBER * len(part))
        text = generator.tokenizer.decode(answer, skip_special_tokens=True)
        places, well_formed = parse_permutation(text, len(part))
        order[start:stop] = [part[place] for place in places]
        passes += 1
        read += len(ids)
        new += len(answer)
        malformed += not well_formed
    scores = np.empty(len(order))
    scores[order] = np.arange(len(order), 0, -1)
    return Generated(scores, passes, read, new, malformed)


def rank_pointwise(
    generator: Generator, candidates: CandidateList, *, document_tokens: int | None = None
) -> Generated:
    """Return the log-odds of yes against no for each passage of one list."""
    yes, no = _first_tokens(generator, "yes"), _first_tokens(generator, "no")
    options = replace(POINTWISE, document_tokens=document_tokens)
    scores, read = [], 0
    for place in range(len(candidates.doc_ids)):
        ids = _ids(generator, options, _take(candidates, [place]))
        logits = _next(generator, ids, None)
        scores.append(float(logits[yes].logsumexp(0) - logits[no].logsumexp(0)))
        read += len(ids)
    return Generated(np.array(scores), len(scores), read)


def greedy(generator: Generator, ids: Sequence[int], most: int) -> list[int]:
    """Return the token ids that follow a prompt, up to the end of the answer or ``most``."""
    cache, written, fed = DynamicCache(config=generator.model.config), [], list(ids)
    while len(written) < most:
        token = int(_next(generator, fed, cache).argmax())
        if token in generator.stop:
            break
        written.append(token)
        fed = [token]
    return written


@torch.inference_mode()
def _next(generator: Generator, ids: Sequence[int], cache: DynamicCache | None) -> torch.Tensor:
    """Return ``[vocabulary]`` float32 logits of the token after ``ids``."""
    tokens = torch.tensor([list(ids)], device=generator.model.device)
    found = generator.model(
        input_ids=tokens, past_key_values=cache, use_cache=cache is not None, logits_to_keep=1
    )
    return found.logits[0, -1].float()


def _ids(generator: Generator, options: PromptOptions, candidates: CandidateList) -> list[int]:
    """Return a whole prompt's token ids; texts of documents never become control tokens."""
    builder = PromptBuilder(generator.tokenizer, options, generator.context)
    prompt = builder.build(candidates, (candidates.query,))
    return [*prompt.prefix, *prompt.suffixes[0].ids]


def _first_tokens(generator: Generator, word: str) -> list[int]:
    """Return the first token of a word, in lower case and capitalised."""
    forms = (word, word.capitalize())
    ids = [generator.tokenizer.encode(form, add_special_tokens=False)[0] for form in forms]
    return sorted(set(ids))


def _take(candidates: CandidateList, places: Sequence[int]) -> CandidateList:
    return replace(
        candidates,
        doc_ids=tuple(candidates.doc_ids[i] for i in places),
        passages=tuple(candidates.passages[i] for i in places),
    )
