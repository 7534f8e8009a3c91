"""Passages read into a ranker's store before any query asks."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrank.data.candidates import PASSAGES, Passage, as_candidates, in_order
from headrank.data.spellings import without_id
from headrank.errors import HeadRankError
from headrank.reading.apart import PASS_TOKENS, encode_documents
from headrank.reading.document_store import DocumentStore, Shelf, check_layout, identity_of
from headrank.reading.layout import room, tokenised
from headrank.reading.packed import Packed
from headrank.reading.passes import passes

if TYPE_CHECKING:
    from headrank.ranker.ranker import HeadRanker

_TOKENIZED = 256  # passages that are tokenised at once, and sorted by length

Store = DocumentStore | str | os.PathLike


@dataclass(frozen=True)
class Encoding:
    """What was done with some passages.

    Attributes:
        documents: that were asked for.
        new: how many of them the store lacked, and now has.
        tokens: that were computed, markers and separators included.
        cut: tokens, and those that are kept, of each document that was cut.
    """

    documents: int
    new: int
    tokens: int
    cut: tuple[tuple[int, int], ...] = ()


def bound_store(ranker: HeadRanker) -> DocumentStore | None:
    """Return a ranker's store, opened and checked against its model and prompt.

    Raises:
        HeadRankError: a layout whose documents cannot be kept, or a folder of another model.
    """
    store = ranker.store
    if store is None:
        return None
    check_layout(ranker.options.prompt.layout)
    if not isinstance(store, DocumentStore):
        store = DocumentStore.open(store)
    if store.folder is not None:
        store.bind(identity_of(ranker.model, ranker.adapter, ranker.builder))
    return store


def check_lengths(ranker: HeadRanker, passages: Iterable[tuple[str, Passage]]) -> None:
    """Refuse a passage that its layout cannot hold, before hours go into the others.

    Args:
        passages: each with where it stands, for the message.

    Raises:
        HeadRankError: names the first passage that is too long.
    """
    builder = ranker.builder
    budget = room(builder) if builder.fit else builder.options.document_tokens
    if builder.options.overlong == "truncate" or (budget is not None and budget <= room(builder)):
        return
    offset, passages = builder.options.query_offset, iter(passages)
    while chunk := list(itertools.islice(passages, _TOKENIZED)):
        texts = builder.texts(as_candidates("any", [passage for _, passage in chunk]))
        for (where, _), one in zip(chunk, tokenised(builder, texts, budget), strict=True):
            if len(one.ids) > offset:
                raise HeadRankError(
                    f"{where}: {len(one.ids)} tokens with marker and separator, more than "
                    f"query_offset {offset}; cut what is too long (--overlong truncate), or split "
                    "it into passages"
                )


def encode_passages(
    ranker: HeadRanker,
    passages: Iterable[str | Passage | Mapping[str, str]],
    budget: int = PASS_TOKENS,
) -> Iterator[Encoding]:
    """Read passages into a ranker's store; yield what was done after each pass.

    What is there already is not read. Memory holds one pass, so it does not grow with the passages.

    Args:
        budget: most tokens of one pass, or one document.

    Raises:
        HeadRankError: the ranker has no store, or a passage that ``rerank`` would refuse.
    """
    shelf = ranker.shelf()
    if shelf is None:
        raise HeadRankError("the ranker has no store; give one to from_pretrained")
    # What is stored has no id: two parts of one document may bear the same.
    passages = map(without_id, in_order(passages, "passages", PASSAGES))
    while chunk := list(itertools.islice(passages, _TOKENIZED)):
        # No query is read: the documents of layout block do not see it.
        prompt = ranker.builder.build(as_candidates("any", chunk), ("any",))
        missing = _missing(ranker, prompt, shelf)
        widths = prompt.blocks.widths
        sizes = list(zip(prompt.tokens, prompt.widths, strict=True))
        ranker.tell([dict(enumerate(sizes))])
        cut = tuple((tokens, kept) for tokens, kept in sizes if kept < tokens)
        yield Encoding(len(chunk) - len(missing), 0, 0, cut)
        for places in passes(missing, widths, budget):
            part = as_candidates("any", [chunk[i] for i in places])
            encode_documents(ranker.model, ranker.builder.build(part, ("any",)), shelf, budget)
            yield Encoding(len(places), len(places), int(widths[places].sum()))


def _missing(ranker: HeadRanker, prompt, shelf: Shelf) -> list[int]:
    """Return the places of documents that the store lacks, by length, each text once."""
    packed = Packed.of(prompt, len(prompt.blocks.head(0)))
    found: dict[str, int] = {}
    for place, key in shelf.keys(packed, ranker.model.layers).items():
        if key not in found and not shelf.store.has(key):
            found[key] = place
    return list(found.values())
