"""Texts and limits of the prompt."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

from headrank.settings.classes import Rules, options
from headrank.settings.kinds import Flag, Text, text, text_or_null, whole, whole_or_null
from headrank.settings.words import shown

Rows = Literal["query", "suffix"]
Overlong = Literal["error", "truncate"]
Layout = Literal["joint", "block", "block+query", "block-tenth"]
LAYOUTS = get_args(Layout)
QUERY_OFFSET = 256
MARKERS = {name: "[{number}] " if name == "joint" else "Passage: " for name in LAYOUTS}
"""What stands before each document unless the options say otherwise."""

EVERY = {"block-tenth": 10}
"""Of a document's text the query sees each so many-th token in these layouts, the last included."""

STORABLE = ("block", "block-tenth")
"""Layouts in which a document sees no other text of the list, so it can be kept."""

ONLY_BLOCK = ("layout", "query_offset")
"""Options that a joint prompt does not have: its digests and cards do not name them."""


@options("prompt")
class PromptOptions:
    """Texts and limits of the prompt; every field changes the reading."""

    header: Text = "Here are some passages:\n\n"
    """Text before the first document."""
    marker: text_or_null("a text, or null for the layout's own") = None
    """Text before each document. In layout `joint` `{number}` counts from 1. `null` is
    `[{number}] `, or `Passage: ` in block layouts.
    """
    separator: text("a text that ends in a newline", pattern="\n$") = "\n\n"
    """Text after each document. It ends in a newline, so that no token can reach from one document
    into the next part.
    """
    instruction: Text = "Which of the passages above answer the query below?"
    """Text after the documents; it opens the suffix."""
    query: Text = "\n\nQuery: {query}"
    """The last part of the prompt; it holds `{query}` once [paper: the query comes last]."""
    chat: Flag = True
    """Wrap the prompt in the model's own chat template, if it has one."""
    rows: Rows = "query"
    """Whose attention is averaged: that of the query's own tokens (`query`), or of all tokens from
    the instruction to the end (`suffix`, as ICR and QRHead do) [ours].
    """
    calibration: text("a text that is not empty", least=1) = "N/A"
    """The content-free query of the calibration (ICR)."""
    document_tokens: whole_or_null(1, "for no limit") = None
    """Most tokens of each document, title included; longer ones are cut. `null` keeps all."""
    overlong: Overlong = "error"
    """What happens to a list that does not fit the model's context: `error` stops, `truncate` cuts
    every document alike.
    """
    layout: Layout = "joint"
    """`joint`: all documents in one causal text [paper]. `block`: each document sees the shared
    header and itself, and the query behind them sees all; the order of a list then changes
    nothing, and reading grows with its tokens, not their square [ours]. `block+query`: so too,
    with the query before each document as well [ours]. `block-tenth`: as `block`, but the query
    sees every tenth token of a document's text alone, counted back from its last one (CompRank's
    share), so a stored document takes a tenth. Heads and adapters belong to a layout.
    """
    query_offset: whole(1) = QUERY_OFFSET
    """In block layouts, tokens from the shared header to the query. No document may take more,
    marker and separator included [ours].
    """

    def __post_init__(self) -> None:
        if self.marker is None:
            object.__setattr__(self, "marker", MARKERS[self.layout])

    def changed(self, **changes: Any) -> PromptOptions:
        """Return the options with changes; another layout takes its own marker and offset.

        What was set to something else than the layout's own stays, and may be refused.
        """
        if changes.get("layout", self.layout) != self.layout:
            if self.marker == MARKERS[self.layout]:
                changes.setdefault("marker", None)
            if changes["layout"] == "joint":
                changes.setdefault("query_offset", QUERY_OFFSET)
        return dataclasses.replace(self, **changes)

    def described(self) -> dict[str, Any]:
        """Return the options as JSON holds them, for cards and digests.

        A joint prompt has nothing of the other layouts, as before there were any.
        """
        fields = dataclasses.asdict(self)
        if self.layout == "joint":
            for name in ONLY_BLOCK:
                del fields[name]
        return fields

    def rules(self) -> Rules:
        """Yield what is wrong with the placeholders, and what a layout cannot have."""
        if self.query.count("{query}") != 1:
            yield "query", f"is {shown(self.query)}; allowed: a text that holds {{query}} once"
        try:
            self.marker.format(number=1)
        except (LookupError, ValueError, AttributeError):
            yield (
                "marker",
                f"is {shown(self.marker)}; allowed: a text that holds nothing in braces "
                "but {number}",
            )
        if self.layout == "joint":
            if self.query_offset != QUERY_OFFSET:
                yield (
                    "query_offset",
                    f"is {self.query_offset}; allowed: {QUERY_OFFSET} in layout joint, which has "
                    "none (its query follows the last document); leave it out, or set layout: "
                    "block",
                )
            return
        if "{number}" in self.marker:
            yield (
                "marker",
                f"is {shown(self.marker)}; allowed in layout {self.layout}: a text without "
                "{number}, since each document is read apart, and a number would tell its place "
                "and change its score with the order",
            )
        if self.document_tokens is not None and self.document_tokens > self.query_offset:
            yield (
                "query_offset",
                f"is {self.query_offset}; allowed: more than document_tokens "
                f"({self.document_tokens}), by the tokens of marker and separator; raise it, or "
                "lower document_tokens",
            )
