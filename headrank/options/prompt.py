"""Texts and limits of the prompt."""

from __future__ import annotations

from typing import Literal, get_args

from headrank.settings import Flag, Rules, Text, options, shown, text, whole_or_null

Rows = Literal["query", "suffix"]
Overlong = Literal["error", "truncate"]
ROWS = get_args(Rows)
OVERLONG = get_args(Overlong)


@options("prompt")
class PromptOptions:
    """Texts and limits of the prompt; every field changes the reading."""

    header: Text = "Here are some passages:\n\n"
    """Text before the first document."""
    marker: Text = "[{number}] "
    """Text before each document; `{number}` counts from 1."""
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

    def rules(self) -> Rules:
        """Yield what is wrong with the placeholders."""
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
