"""A ranking: its passages by score, and what was read of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from headrank.data.candidates import CandidateList, Passage
from headrank.data.trec import Run


@dataclass(frozen=True)
class RankedPassage:
    """One passage of a ranking.

    Attributes:
        rank: from 1.
        doc_id: the id it was given, or its place as text.
        score: higher is more relevant; comparable within one ranking only.
        index: place among the passages given, from 0.
        tokens: of title and text. A text much longer than the budget is not counted to its end;
            this is then the least that it has.
        kept_tokens: those that were read; fewer than ``tokens`` if the passage was cut.
    """

    rank: int
    doc_id: str
    score: float
    index: int
    passage: Passage = field(repr=False)
    tokens: int = 0
    kept_tokens: int = 0


def cut_note(sizes: Iterable[tuple[int, int]]) -> str | None:
    """Return in words how many passages were cut and what was kept of them; None if none was.

    Args:
        sizes: ``(tokens, tokens that are read)`` of each passage.
    """
    sizes = list(sizes)
    cut = [(tokens, kept) for tokens, kept in sizes if kept < tokens]
    if not cut:
        return None
    tokens, kept = (sum(column) for column in zip(*cut, strict=True))
    return (
        f"{len(cut)} of {len(sizes)} passages were cut: {kept} of their {tokens} tokens are read, "
        f"at most {max(kept for _, kept in cut)} of a passage; the longest has "
        f"{max(tokens for tokens, _ in cut)}"
    )


def ranked(
    candidates: CandidateList, scores: np.ndarray, sizes: Mapping[str, tuple[int, int]]
) -> list[RankedPassage]:
    """Return the passages by score descending, then by id: the order of a TREC run."""
    place = {document: i for i, document in enumerate(candidates.doc_ids)}
    run = Run.from_scores({"": dict(zip(candidates.doc_ids, scores.tolist(), strict=True))})
    return [
        RankedPassage(
            rank=rank,
            doc_id=document,
            score=score,
            index=place[document],
            passage=candidates.passages[place[document]],
            tokens=sizes[document][0],
            kept_tokens=sizes[document][1],
        )
        for rank, (document, score) in enumerate(run.rankings[""], start=1)
    ]
