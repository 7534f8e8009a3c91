"""Layouts of the prompt: all documents in one causal text, or each read apart. [ours, but joint]

In the block layouts every document sees a shared prefix and itself, and all start at the same
position, so no document knows another one or its own place in the list. The query stands at a
constant position behind them and sees everything. A score is therefore free of the list's order,
and reading grows with the list's tokens, not with their square. The mask is CompRank's and
BlockSearch's; BlockRank and InvariRank have relatives of it that see the query first, as
``block+query`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headrank.errors import HeadRankError, Unfit, brief
from headrank.options.prompt import EVERY, STORABLE
from headrank.reading.token_spans import token_spans
from headrank.reading.tokenised import Tokenised

if TYPE_CHECKING:
    from headrank.data.candidates import CandidateList
    from headrank.data.heads import HeadSet
    from headrank.reading.prompt import PromptBuilder
    from headrank.reading.prompt_tokens import Suffix


TRAINED = "layouts"
"""Where heads' provenance names the layouts that an adapter of them was trained in, if several."""


@dataclass(frozen=True)
class Blocks:
    """How the tokens of a prompt are read apart.

    Attributes:
        heads: ids of the shared prefix: one for all suffixes (``block``), or one a suffix, with
            its query (``block+query``). A prompt's ``prefix`` begins with the first.
        documents: ``[start, stop)`` of each document's tokens within the prompt's prefix, marker
            and separator included; they follow one another.
        order: places of the documents in the order in which they are computed: by length, tokens
            and id. It depends on the documents alone, so any order of a list gives the same bits.
        offset: tokens from the end of the shared prefix to the first of a suffix.
        every: the query sees every so many-th token of a document's text alone, counted back from
            its last one; None: all tokens of the document.
    """

    heads: tuple[tuple[int, ...], ...]
    documents: tuple[tuple[int, int], ...]
    order: tuple[int, ...]
    offset: int
    every: int | None = None

    def head(self, suffix: int) -> tuple[int, ...]:
        """Return the shared prefix of a suffix."""
        return self.heads[suffix if len(self.heads) > 1 else 0]

    @property
    def widths(self) -> np.ndarray:
        """Return ``[docs]``: tokens of each document, marker and separator included."""
        return np.array([stop - start for start, stop in self.documents])


def room(builder: PromptBuilder) -> int:
    """Return the tokens that a document's text may take before the query; 1 or more."""
    return max(1, builder.options.query_offset - _frame(builder))


def check_room(builder: PromptBuilder) -> None:
    """Refuse a document budget that leaves no room for marker and separator before the query.

    Raises:
        HeadRankError: names the smallest offset that would do.
    """
    options = builder.options
    if options.layout == "joint" or options.document_tokens is None:
        return
    needed = options.document_tokens + _frame(builder)
    if needed > options.query_offset:
        raise HeadRankError(
            f"prompt.query_offset is {options.query_offset}, but a document of document_tokens "
            f"{options.document_tokens} takes {needed} tokens with its marker and separator; set "
            f"query_offset to at least {needed}, or document_tokens to at most "
            f"{options.query_offset - _frame(builder)}"
        )


def layout_of(prompt: Mapping) -> str:
    """Return the layout of a prompt's options as a card holds them."""
    return prompt.get("layout", "joint")


def check_heads(heads: HeadSet | None, layout: str) -> None:
    """Refuse heads that were selected in another layout: they are other heads.

    Heads without a profile (a bare list) are taken as they are, and so are those of an adapter that
    was trained in this layout as well.

    Raises:
        HeadRankError: names both layouts.
    """
    made = None if heads is None else heads.provenance.get("prompt")
    if made is not None and layout not in heads.provenance.get(TRAINED, ()):
        check_same(layout_of(made), layout, "heads were selected", "profile the heads in it")


def other_layout(layout: str) -> str:
    """Return the layout that training in both adds to one: ``block`` to ``joint``, else joint."""
    return "block" if layout == "joint" else "joint"


def check_same(made: str, layout: str, what: str, remedy: str) -> None:
    """Refuse what was made in another layout.

    Args:
        what: was made, as in "heads were selected".

    Raises:
        HeadRankError: names both.
    """
    if made != layout:
        raise HeadRankError(
            f"the {what} in layout {made}, but layout {layout} is to be read; {remedy}, or read "
            f"layout {made}"
        )


def build_blocks(
    builder: PromptBuilder,
    candidates: CandidateList,
    documents: Sequence[Tokenised],
    queries: Sequence[str],
    suffixes: Sequence[Suffix],
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...], Blocks, dict[int, int]]:
    """Return prefix and spans of a prompt whose documents are read apart, and how they are.

    Last come the tokens that cut documents had before, by their place.

    Each document is encoded on its own, so its tokens never depend on its neighbours.

    Args:
        builder: of a block layout.
        documents: cut to their budget.
        queries: with the suffix of each.

    Raises:
        HeadRankError: a document longer than the room before the query (unless ``overlong`` is
            ``truncate``), or a prefix, room and query that do not fit the context.
    """
    offset = builder.options.query_offset
    found = [(one.ids, one.span) for one in documents]
    uncut = {i: one.uncut for i, one in enumerate(documents) if one.uncut is not None}
    over = [i for i, (ids, _) in enumerate(found) if len(ids) > offset]
    if over and builder.options.overlong == "truncate":
        # One token at least: what does not fit even so is refused below.
        shorter, tokens = builder._cut([documents[i].text for i in over], room(builder))
        uncut = {over[i]: count for i, count in tokens.items()} | uncut
        for place, one in zip(over, _encoded(builder, shorter), strict=True):
            found[place] = one
    for place in over:
        if (tokens := len(found[place][0])) > offset:
            raise _too_long(builder, candidates.query_id, candidates.doc_ids[place], tokens)
    heads = _heads(builder, queries)
    _check_context(builder, candidates, heads, max(len(one.ids) for one in suffixes))
    prefix, bounds, spans = list(heads[0]), [], []
    for ids, (start, stop) in found:
        place = len(prefix)
        bounds.append((place, place + len(ids)))
        spans.append((place + start, place + stop))
        prefix += ids
    keys = [(len(ids), ids, name) for (ids, _), name in zip(found, candidates.doc_ids, strict=True)]
    order = sorted(range(len(found)), key=keys.__getitem__)
    blocks = Blocks(heads, tuple(bounds), tuple(order), offset, EVERY.get(builder.options.layout))
    return tuple(prefix), tuple(spans), blocks, uncut


def shared_prefix(builder: PromptBuilder) -> tuple[int, ...]:
    """Return the ids that all documents stand behind where no query does."""
    return _heads(builder, ())[0]


def _heads(builder: PromptBuilder, queries: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Return the ids before the documents: one for all queries, or one a query that it sees."""
    options = builder.options
    if options.layout in STORABLE:
        texts = [options.header]
    else:
        texts = [
            options.query.replace("{query}", query).strip() + "\n\n" + options.header
            for query in queries
        ]
    encoded = builder._encode(texts)["input_ids"]
    return tuple(builder._opening + tuple(ids) for ids in encoded)


def tokenised(builder: PromptBuilder, texts: Sequence[str], budget: int | None) -> list[Tokenised]:
    """Return each document cut to a budget and encoded on its own."""
    shorter, uncut = builder._cut(texts, budget)
    return [
        Tokenised(text, ids, span, uncut.get(place))
        for place, (text, (ids, span)) in enumerate(
            zip(shorter, _encoded(builder, shorter), strict=True)
        )
    ]


def _encoded(
    builder: PromptBuilder, texts: Sequence[str]
) -> list[tuple[tuple[int, ...], tuple[int, int]]]:
    """Return each document's ids with marker and separator, and its text's span among them."""
    marker, separator = builder.options.marker.format(), builder.options.separator
    encoded = builder._encode([marker + text + separator for text in texts])
    characters = [(len(marker), len(marker) + len(text)) for text in texts]
    return [
        (tuple(ids), token_spans(offsets, [one])[0])
        for ids, offsets, one in zip(
            encoded["input_ids"], encoded["offset_mapping"], characters, strict=True
        )
    ]


def _frame(builder: PromptBuilder) -> int:
    """Return the tokens of marker and separator around a document."""
    ((ids, (start, stop)),) = _encoded(builder, ["text"])
    return len(ids) - (stop - start)


def _too_long(builder: PromptBuilder, query: str, document: str, tokens: int) -> HeadRankError:
    """Return the error of a document that would reach behind the query's place."""
    offset = builder.options.query_offset
    most = room(builder)
    found = (
        f"query {brief(query)}: document {brief(document)} takes {tokens} tokens with its marker "
        f"and separator, more than query_offset {offset}"
    )
    return Unfit(
        f"{found}; set query_offset to at least {tokens}, document_tokens to at most {most}, or "
        "overlong: truncate",
        f"{found}; shorten it to at most {most} tokens",
    )


def _check_context(
    builder: PromptBuilder,
    candidates: CandidateList,
    heads: Sequence[Sequence[int]],
    suffix: int,
) -> None:
    """Refuse a query whose last token stands behind the model's context."""
    longest = max(map(len, heads)) + builder.options.query_offset + suffix
    if builder.context is not None and longest > builder.context:
        found = (
            f"query {brief(candidates.query_id)}: the shared prefix, query_offset and the query "
            f"end at token {longest}, the model's context is {builder.context}"
        )
        raise Unfit(
            f"{found}; lower query_offset (now {builder.options.query_offset}), or shorten the "
            "query",
            f"{found}; shorten the query",
        )
