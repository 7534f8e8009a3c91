"""Lists read side by side: as many as a budget of tokens holds, the longest first.

A GPU that reads one short list waits for its own kernel launches. How many lists it holds depends
on the card, the model and what is recorded, so the budget is measured: the longest list is read
alone, and what it took tells what the free memory holds. Out of memory halves the budget.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

import torch

from headrank.models.devices import OutOfMemory

AUTO = "auto"
logger = logging.getLogger(__name__)
Result = TypeVar("Result")

_SHARE = 0.8
"""Of the free memory that a measured budget fills: padded lists need a mask besides."""


class Memory(Protocol):
    """What a device's memory is asked."""

    def start(self) -> None:
        """Begin to measure."""
        ...

    def taken(self) -> int:
        """Return the most bytes that were held at once since the start, beyond those before it."""
        ...

    def free(self) -> int:
        """Return the bytes that this process may still take."""
        ...

    def release(self) -> None:
        """Give back what a pass that failed has left."""
        ...


@dataclass
class CardMemory:
    """The memory of one GPU, as torch tells it."""

    device: torch.device
    before: int = 0

    def start(self) -> None:
        """Begin to measure."""
        torch.cuda.reset_peak_memory_stats(self.device)
        self.before = torch.cuda.memory_allocated(self.device)

    def taken(self) -> int:
        """Return the most bytes that were held at once since the start, beyond those before it."""
        return torch.cuda.max_memory_allocated(self.device) - self.before

    def free(self) -> int:
        """Return the bytes that this process may still take: the card's, and what torch keeps."""
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return torch.cuda.mem_get_info(self.device)[0] + kept

    def release(self) -> None:
        """Give back what a pass that failed has left."""
        torch.cuda.empty_cache()


@dataclass
class TokenBudget:
    """Most tokens that are read at once, padding included; a list that has more is read alone.

    Attributes:
        tokens: 0 reads every list alone; None is not measured yet.
        memory: what is measured, and cleared when it runs out; None on the CPU.
    """

    tokens: int | None = 0
    memory: Memory | None = field(default=None, repr=False)

    @classmethod
    def of(cls, asked: int | Literal["auto"], device: torch.device) -> TokenBudget:
        """Return the budget that a config asks for.

        Args:
            asked: tokens, or ``auto``: measured on a GPU, every list alone on the CPU.
        """
        memory = CardMemory(device) if device.type == "cuda" else None
        if asked == AUTO:
            return cls(0 if memory is None else None, memory)
        return cls(asked, memory)

    @property
    def alone(self) -> bool:
        """Return whether every list is read alone, in the order given."""
        return self.tokens == 0

    def holds(self, longest: int) -> int:
        """Return how many lists of at most so many tokens are read at once."""
        return 1 if self.tokens is None else max(1, self.tokens // longest)

    def halve(self, lists: int, longest: int, reason: object) -> None:
        """Take half of what did not fit, and say so."""
        self.tokens = lists * longest // 2
        logger.warning(
            "%d lists of up to %d tokens did not fit (%s); from here on at most %d tokens at once",
            lists,
            longest,
            reason,
            self.tokens,
        )
        if self.memory is not None:
            self.memory.release()

    def measured(self, longest: int) -> None:
        """Set the budget from what the longest list took."""
        each = max(1, self.memory.taken()) / longest
        self.tokens = max(longest, int(_SHARE * self.memory.free() / each))
        logger.info(
            "a token takes %.0f kB, so lists of at most %d tokens together are read at once",
            each / 1000,
            self.tokens,
        )


def in_batches(
    lengths: Sequence[int], budget: TokenBudget, read: Callable[[list[int]], Sequence[Result]]
) -> Iterator[tuple[int, Result]]:
    """Yield the number of each list and what was read of it, longest lists first.

    Neighbours are of like length, so little is padded, and the longest come first: what does not
    fit is known at once. Results are yielded once the next batch has begun: a GPU works on that
    while its caller works on them.

    Args:
        lengths: tokens of each list.
        read: returns a result for each of some lists, by their numbers.

    Raises:
        OutOfMemory: a list that does not fit alone.
    """
    waiting = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    before: list[tuple[int, Result]] = []
    while waiting:
        longest = lengths[waiting[0]]
        batch = waiting[: budget.holds(longest)]
        unknown = budget.tokens is None
        if unknown:
            budget.memory.start()
        failed = None
        try:
            results = read(batch)
        except OutOfMemory as error:
            if len(batch) == 1:
                raise
            # The error holds the frames of the pass, and they hold its memory: only its text stays.
            failed = str(error)
        if failed is not None:
            budget.halve(len(batch), longest, failed)
            continue
        if unknown:
            budget.measured(longest)
        yield from before
        before = list(zip(batch, results, strict=True))
        waiting = waiting[len(batch) :]
    yield from before
