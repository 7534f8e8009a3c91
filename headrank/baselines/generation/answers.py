"""What a model wrote, how it departs from the form asked for, and how it is repaired.

The repair of a permutation: numbers in the order of their first mention; those beyond the
window and repeated ones are skipped; passages that are not named follow in their old
order; other text is passed over. RankGPT (arXiv 2304.09542) repairs alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_NUMBER = re.compile(r"[0-9]+")
# What may stand between the numbers of a well-formed answer.
_PUNCTUATION = re.compile(r"[0-9\s\[\]()>,;.]+")
# More digits than any place in a list has; int() is slow on, or refuses, thousands of them.
_DIGITS = 9


@dataclass(frozen=True)
class Answer:
    """One answer as text and what is wrong with it.

    Attributes:
        text: as the model wrote it, thoughts included.
        start: place in the list, from 0, of the first passage that was asked about.
        order: places within the window, from 0, best first, after the repair; empty where
            nothing is ordered (pointwise).
        missing: passages that are not named.
        repeated: mentions after a passage's first.
        out_of_range: numbers that no passage of the window has.
        other_text: anything beside numbers and punctuation (pointwise: another word than
            yes or no).
        cut: the answer ended at the limit of tokens.
    """

    text: str
    start: int = 0
    order: tuple[int, ...] = ()
    missing: int = 0
    repeated: int = 0
    out_of_range: int = 0
    other_text: bool = False
    cut: bool = False

    @property
    def repaired(self) -> bool:
        """Return whether the order is not the one that was written."""
        return bool(self.missing or self.repeated or self.out_of_range)

    @property
    def well_formed(self) -> bool:
        """Return whether the answer has the form asked for and nothing else."""
        return not (self.repaired or self.other_text)


@dataclass(frozen=True)
class Generated:
    """What a generative method made of one list, and what it cost.

    Attributes:
        scores: ``[docs]`` in the list's order, higher is better.
        passes: prompts that were prefilled.
        prompt_tokens, new_tokens: read and written, over all passes.
        answers: what was written, one a pass; none for query likelihood.
    """

    scores: np.ndarray
    passes: int
    prompt_tokens: int
    new_tokens: int = 0
    answers: tuple[Answer, ...] = ()

    @property
    def malformed(self) -> int:
        """Return how many answers have not the form asked for."""
        return sum(not answer.well_formed for answer in self.answers)


def read_permutation(
    text: str, count: int, *, start: int = 0, cut: bool = False, thoughts_end: str | None = None
) -> Answer:
    """Return the order that an answer gives to ``count`` passages, repaired, and its faults.

    Numbers count from 1 in the answer and from 0 in the result.

    Args:
        thoughts_end: what closes the model's thoughts: only what stands behind it is read,
            and nothing if it is missing (the thoughts never ended).
    """
    read = text if thoughts_end is None else text.rpartition(thoughts_end)[2]
    if thoughts_end is not None and thoughts_end not in text:
        read = ""
    numbers = [int(digits[:_DIGITS]) - 1 for digits in _NUMBER.findall(read)]
    known = [number for number in numbers if 0 <= number < count]
    named = list(dict.fromkeys(known))
    missing = [number for number in range(count) if number not in named]
    return Answer(
        text,
        start=start,
        order=(*named, *missing),
        missing=len(missing),
        repeated=len(known) - len(named),
        out_of_range=len(numbers) - len(known),
        other_text=bool(_PUNCTUATION.sub("", read)),
        cut=cut,
    )
