"""Sliding windows, and what a generative method asks of a model before anything is generated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrank.errors import HeadRankError

# "[20] > " takes this many tokens where digits are tokens of their own.
TOKENS_A_NUMBER = 6


def check_windows(window: int, stride: int) -> None:
    """Refuse a stride of 0, or one longer than the window (documents would be left out)."""
    if not 1 <= stride <= window:
        raise HeadRankError(f"stride is {stride}, window is {window}; use 1 <= stride <= window")


def windows(count: int, window: int = 20, stride: int = 10) -> Iterator[tuple[int, int]]:
    """Yield ``[start, stop)`` of each window, from the end of the list to its head.

    Raises:
        HeadRankError: as ``check_windows``.
    """
    check_windows(window, stride)
    stop = count
    while True:
        start = max(0, stop - window)
        yield start, stop
        if start == 0:
            return
        stop -= stride


@dataclass(frozen=True)
class Work:
    """Prompts of one list, the tokens that they hold, and the most that may be written.

    ``places`` are the passages that all answers put in order.
    """

    passes: int
    prompt_tokens: float
    new_tokens: int
    places: int = 0


def work(method: Mapping, documents: int, document: float, frame: float) -> Work:
    """Return the work of one list.

    Listwise asks window by window and writes numbers, after its thoughts if it thinks; the
    other protocols ask once a passage and write nothing.

    Args:
        method: ``protocol``, and for listwise ``window``, ``stride``, ``thinking`` and
            ``thinking_tokens``, as
            :class:`headrank.baselines.generation.protocols.GenerativeMethod`.
        documents: candidates of the list.
        document: tokens of a document with its marker.
        frame: tokens of all else in a prompt.
    """
    if method["protocol"] != "listwise":
        return Work(documents, documents * (document + frame), 0)
    parts = windows(documents, method["window"], method["stride"])
    sizes = [stop - start for start, stop in parts]
    thoughts = method["thinking_tokens"] if method["thinking"] else 0
    return Work(
        len(sizes),
        sum(sizes) * document + len(sizes) * frame,
        sum(TOKENS_A_NUMBER * size + thoughts for size in sizes),
        sum(sizes),
    )
