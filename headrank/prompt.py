"""One prompt for a query and its candidates, with the exact token span of every document.

The candidates come first and the query last (HeadRank), so each query token can attend
to every document. The prompt is cut in two where the query's part begins: the prefix
holds all documents and is prefilled once; suffixes (the query, and the content-free
query of the calibration) are short and share its key/value cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from headrank.errors import HeadRankError
from headrank.layout import (
    MARKERS,
    ONLY_BLOCK,
    QUERY_OFFSET,
    Blocks,
    build_blocks,
    check_options,
    check_room,
)
from headrank.lists import CandidateList, Passage
from headrank.spans import token_spans, within_budget

ROWS = ("query", "suffix")
OVERLONG = ("error", "truncate")
_CONTENT = "\x02content\x03"


@dataclass(frozen=True)
class PromptOptions:
    """Texts and limits of the prompt; every field changes the reading.

    Attributes:
        header: stands before the first document.
        marker: stands before each document; ``{number}`` counts from 1, in layout joint only.
            None takes the layout's own: ``[{number}] ``, or ``Passage: `` in block layouts.
        separator: stands after each document and must end in a newline, so that no
            token can reach from one document into the next part.
        instruction: stands after the documents and opens the suffix.
        query: the last part; holds ``{query}``.
        chat: wrap the prompt in the model's own chat template, if it has one.
        rows: whose attention is averaged: ``query`` (the query's own tokens) or
            ``suffix`` (instruction to the end, as ICR and QRHead do). [ours]
        calibration: the content-free query (ICR).
        document_tokens: budget of each document, title included; None keeps all.
        overlong: ``error`` or ``truncate`` a list that does not fit the context.
        layout: ``joint``, one causal text [paper]; ``block``, each document read apart, the query
            behind them; ``block+query``, with the query before them too (see
            :mod:`headrank.layout`). [ours]
        query_offset: in block layouts, tokens from the shared prefix to the query; no document
            may be longer, marker and separator included. [ours]
    """

    header: str = "Here are some passages:\n\n"
    marker: str | None = None
    separator: str = "\n\n"
    instruction: str = "Which of the passages above answer the query below?"
    query: str = "\n\nQuery: {query}"
    chat: bool = True
    rows: str = "query"
    calibration: str = "N/A"
    document_tokens: int | None = None
    overlong: str = "error"
    layout: str = "joint"
    query_offset: int = QUERY_OFFSET

    def __post_init__(self) -> None:
        if self.marker is None:
            object.__setattr__(self, "marker", MARKERS.get(self.layout, MARKERS["joint"]))
        for name, value, allowed in (
            ("rows", self.rows, ROWS),
            ("overlong", self.overlong, OVERLONG),
        ):
            if value not in allowed:
                raise HeadRankError(f"prompt.{name} is {value!r}; allowed: {', '.join(allowed)}")
        if not self.separator.endswith("\n"):
            raise HeadRankError(
                f"prompt.separator is {self.separator!r}; it must end in a newline, else a "
                "token could belong to two documents"
            )
        if self.query.count("{query}") != 1:
            raise HeadRankError(f"prompt.query is {self.query!r}; it must hold {{query}} once")
        try:
            self.marker.format(number=1)
        except (LookupError, ValueError):
            raise HeadRankError(
                f"prompt.marker is {self.marker!r}; {{number}} is all that may stand in braces"
            ) from None
        if self.document_tokens is not None and self.document_tokens < 1:
            raise HeadRankError(
                f"prompt.document_tokens is {self.document_tokens}; it must be 1 or more"
            )
        check_options(self)

    def changed(self, **changes: Any) -> PromptOptions:
        """Return the options with changes; another layout takes its own marker and offset.

        What was set to something else than the layout's own stays, and may be refused.
        """
        if changes.get("layout", self.layout) != self.layout:
            if self.marker == MARKERS[self.layout]:
                changes.setdefault("marker", None)
            if changes["layout"] == "joint":
                changes.setdefault("query_offset", QUERY_OFFSET)
        return replace(self, **changes)

    def described(self) -> dict[str, Any]:
        """Return the options as JSON holds them, for cards and digests.

        A joint prompt has nothing of the other layouts, as before there were any.
        """
        fields = asdict(self)
        if self.layout == "joint":
            for name in ONLY_BLOCK:
                del fields[name]
        return fields


@dataclass(frozen=True)
class Suffix:
    """Token ids after the documents, and the rows ``[start, stop)`` whose attention counts."""

    ids: tuple[int, ...]
    rows: tuple[int, int]


@dataclass(frozen=True)
class Prompt:
    """A prompt in token ids.

    Attributes:
        prefix: ids of everything up to the instruction.
        spans: ``[start, stop)`` of each document's text within the prefix.
        suffixes: the query's first, then any others asked for.
        blocks: how documents are read apart; None in layout joint.
    """

    prefix: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    suffixes: tuple[Suffix, ...]
    blocks: Blocks | None = None

    @property
    def length(self) -> int:
        """Return the tokens of prefix and longest suffix; in layout joint its last position."""
        return len(self.prefix) + max(len(suffix.ids) for suffix in self.suffixes)

    def document_index(self) -> np.ndarray:
        """Return ``[prefix tokens]``: the document each token belongs to, -1 for none."""
        index = np.full(len(self.prefix), -1, dtype=np.int64)
        for number, (start, stop) in enumerate(self.spans):
            index[start:stop] = number
        return index


@dataclass
class PromptBuilder:
    """Builds prompts for one tokenizer; keeps what does not depend on the list.

    Document and query texts are encoded with special tokens switched off: a passage that
    holds ``<|im_end|>`` yields the characters, never the control token.
    """

    tokenizer: Any
    options: PromptOptions = field(default_factory=PromptOptions)
    context: int | None = None

    def __post_init__(self) -> None:
        if not getattr(self.tokenizer, "is_fast", False):
            raise HeadRankError(
                f"{type(self.tokenizer).__name__} gives no character offsets; "
                "use a model with a fast tokenizer (tokenizer.json)"
            )
        self._token_characters = max(map(len, self.tokenizer.get_vocab()))
        before, after = self._wrapper()
        self._opening = tuple(self.tokenizer.encode(before, add_special_tokens=False))
        self._closing = tuple(self.tokenizer.encode(after, add_special_tokens=False))
        check_room(self)

    def _wrapper(self) -> tuple[str, str]:
        """Return the chat template's text before and after the user's content."""
        if not (self.options.chat and self.tokenizer.chat_template):
            return self.tokenizer.bos_token or "", ""
        # Qwen3's template asks for thinking off by name; other templates ignore it.
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": _CONTENT}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        before, found, after = text.partition(_CONTENT)
        if not found or _CONTENT in after:
            raise HeadRankError(
                "the tokenizer's chat template does not show the user's content once; "
                "set prompt.chat to false"
            )
        return before, after

    def build(self, candidates: CandidateList, queries: Sequence[str] | None = None) -> Prompt:
        """Return the prompt of one list.

        Args:
            candidates: documents in prompt order.
            queries: texts that each get a suffix over the shared prefix; by default the
                list's query and the calibration's.

        Raises:
            HeadRankError: no documents, one without text, an empty query, or more tokens
                than the context holds (unless ``overlong`` is ``truncate``).
        """
        if queries is None:
            queries = (candidates.query, self.options.calibration)
        if not candidates.passages:
            raise HeadRankError(f"query {candidates.query_id}: the list holds no document")
        if not candidates.query.strip():
            raise HeadRankError(f"query {candidates.query_id}: the query is empty")
        for document, passage in zip(candidates.doc_ids, candidates.passages, strict=True):
            if not _text(passage):
                raise HeadRankError(
                    f"query {candidates.query_id}: document {document} has no text to be read; "
                    "leave it out of the candidates"
                )
        budget = self.options.document_tokens
        limit = budget or self.context
        texts = [self._manageable(_text(passage), limit) for passage in candidates.passages]
        queries = [self._manageable(query, self.context) for query in queries]
        texts = self._cut(texts, budget)
        if self.options.layout != "joint":
            suffixes = self._suffixes(queries)
            prefix, spans, blocks = build_blocks(self, candidates, texts, queries, suffixes)
            return Prompt(prefix, spans, suffixes, blocks)
        prompt = self._assemble(texts, queries)
        if self.context is None or prompt.length <= self.context:
            return prompt
        fits, shorter = self._shrink(texts, queries, prompt)
        if shorter is None:
            raise HeadRankError(
                f"query {candidates.query_id}: {len(texts)} documents do not fit the model's "
                f"context of {self.context} tokens even with one token each; rerank fewer "
                "candidates"
            )
        if self.options.overlong == "truncate":
            return shorter
        raise HeadRankError(
            f"query {candidates.query_id}: {len(texts)} documents make {prompt.length} tokens or "
            f"more, the model's context is {self.context}; set document_tokens to at most {fits}, "
            "rerank fewer candidates, or set overlong: truncate"
        )

    def _shrink(
        self, texts: list[str], queries: Sequence[str], prompt: Prompt
    ) -> tuple[int, Prompt | None]:
        """Return the largest equal document budget that fits and its prompt; (0, None) if none."""
        # No document can keep more than the context holds: what the search encodes at every
        # step is never longer.
        texts = self._cut(texts, self.context)
        longest = max(stop - start for start, stop in prompt.spans)
        low, high, best = 0, min(longest, self.context), None
        while low < high:
            middle = (low + high + 1) // 2
            attempt = self._assemble(self._cut(texts, middle), queries)
            if attempt.length <= self.context:
                low, best = middle, attempt
            else:
                high = middle - 1
        return low, best

    def _manageable(self, text: str, limit: int | None) -> str:
        """Return the text without an end that cannot be read, however it is encoded.

        No token covers more characters than the longest of the vocabulary, so what is left is
        more than twice ``limit`` tokens: encoding it tells the same, and a text of megabytes
        costs no minutes.
        """
        return text if limit is None else text[: 2 * (limit + 1) * self._token_characters]

    def _encode(self, texts: Sequence[str]) -> Any:
        """Return one tokenizer call's ids and character offsets; special tokens stay text."""
        return self.tokenizer(
            list(texts),
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            split_special_tokens=True,
        )

    def _cut(self, texts: list[str], budget: int | None) -> list[str]:
        """Return the texts, each cut at the character where its token budget ends.

        Tokens are counted as they will stand: behind a marker and before the separator. A
        text's first character is kept even if it alone takes more.
        """
        if budget is None:
            return texts
        texts = list(texts)
        marker = self.options.marker.format(number=1)
        # A token covers at least one byte, so a short text needs no tokenizer.
        pending = [i for i, text in enumerate(texts) if len(text.encode()) > budget]
        while pending:
            encoded = self._encode([marker + texts[i] + self.options.separator for i in pending])
            cut = []
            for i, offsets in zip(pending, encoded["offset_mapping"], strict=True):
                shorter = within_budget(texts[i], offsets, len(marker), budget)
                if shorter != texts[i]:
                    cut.append(i)
                    texts[i] = shorter
            # The end of a cut text can split into more tokens than it had within the word.
            pending = cut
        return texts

    def _assemble(self, texts: Sequence[str], queries: Sequence[str]) -> Prompt:
        options = self.options
        body, characters, length = [options.header], [], len(options.header)
        for number, text in enumerate(texts, start=1):
            marker = options.marker.format(number=number)
            start = length + len(marker)
            characters.append((start, start + len(text)))
            body += [marker, text, options.separator]
            length = start + len(text) + len(options.separator)
        tails = self._tails(queries)
        encoded = self._encode(["".join(body), *tails])
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        spans = token_spans(offsets[0], characters)
        shift = len(self._opening)
        return Prompt(
            prefix=self._opening + tuple(ids[0]),
            spans=tuple((start + shift, stop + shift) for start, stop in spans),
            suffixes=self._ends(queries, ids[1:], offsets[1:]),
        )

    def _tails(self, queries: Sequence[str]) -> list[str]:
        """Return the text behind the documents, for each query."""
        before, after = self.options.query.split("{query}")
        return [self.options.instruction + before + query + after for query in queries]

    def _suffixes(self, queries: Sequence[str]) -> tuple[Suffix, ...]:
        """Return the suffix of each query."""
        encoded = self._encode(self._tails(queries))
        return self._ends(queries, encoded["input_ids"], encoded["offset_mapping"])

    def _ends(self, queries: Sequence[str], ids: Any, offsets: Any) -> tuple[Suffix, ...]:
        """Return the suffix of each query from its encoded tail."""
        start = len(self.options.instruction) + self.options.query.index("{query}")
        suffixes = []
        for query, tail_ids, tail_offsets in zip(queries, ids, offsets, strict=True):
            if self.options.rows == "query":
                (rows,) = token_spans(tail_offsets, [(start, start + len(query))])
                # Causal attention: what follows the last row cannot change it.
                suffixes.append(Suffix(tuple(tail_ids[: rows[1]]), rows))
            else:
                whole = (*tail_ids, *self._closing)
                suffixes.append(Suffix(whole, (0, len(whole))))
        return tuple(suffixes)


def _text(passage: Passage) -> str:
    """Return title and text as one string without line breaks at its ends."""
    title, text = passage.title.strip(), passage.text.strip()
    return f"{title}\n{text}" if title and text else title or text


def without_calibration(prompt: Prompt) -> Prompt:
    """Return the prompt with the query's suffix alone."""
    return replace(prompt, suffixes=prompt.suffixes[:1])
