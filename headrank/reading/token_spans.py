"""From characters to tokens: which tokens a text occupies, and where a budget ends it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headrank.errors import HeadRankError


def token_spans(
    offsets: Sequence[tuple[int, int]], characters: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return for each character range the tokens ``[start, stop)`` that overlap it.

    Offsets of one text never decrease, so two binary searches a range are exact; several
    tokens of one character (bytes of an emoji) share its offsets and all count.

    Raises:
        HeadRankError: a range holds no token, or two ranges share one.
    """
    starts = np.fromiter((start for start, _ in offsets), dtype=np.int64, count=len(offsets))
    stops = np.fromiter((stop for _, stop in offsets), dtype=np.int64, count=len(offsets))
    spans, previous = [], 0
    for start, stop in characters:
        first = int(np.searchsorted(stops, start, side="right"))
        last = int(np.searchsorted(starts, stop, side="left"))
        if first >= last:
            raise HeadRankError(
                f"characters {start}..{stop} of the prompt hold no token: a text is empty or "
                "is made of characters that the tokenizer drops"
            )
        if first < previous:
            raise HeadRankError(
                f"characters {start}..{stop} share a token with the text before them; choose a "
                "separator and marker that end in a newline or a space"
            )
        spans.append((first, last))
        previous = last
    return spans


def within_budget(
    text: str, offsets: Sequence[tuple[int, int]], shift: int, budget: int
) -> tuple[str, int]:
    """Return the start of the text that its first ``budget`` tokens cover, and its tokens uncut.

    Args:
        offsets: of a string in which the text begins at character ``shift``.
    """
    ((first, last),) = token_spans(offsets, [(shift, shift + len(text))])
    if last - first <= budget:
        return text, last - first
    keep = first + budget
    # The bytes of one character share its offsets; it is kept whole or not at all.
    while keep > first and offsets[keep][0] < offsets[keep - 1][1]:
        keep -= 1
    stop = offsets[keep - 1][1] - shift if keep > first else 0
    return text[:stop].rstrip() or text[:1], last - first
