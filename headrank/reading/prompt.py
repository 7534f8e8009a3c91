"""One prompt for a query and its candidates, with the exact token span of every document.

The candidates come first and the query last (HeadRank), so each query token can attend
to every document. The prompt is cut in two where the query's part begins: the prefix
holds all documents and is prefilled once; suffixes (the query, and the content-free
query of the calibration) are short and share its key/value cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headrank.data.candidates import CandidateList, Passage
from headrank.errors import HeadRankError, Unfit, brief
from headrank.options.prompt import PromptOptions
from headrank.reading.chat_wrapper import chat_wrapper
from headrank.reading.layout import build_blocks, check_room, room, tokenised
from headrank.reading.plain_text import plain_tokenizer
from headrank.reading.prompt_tokens import Prompt, Suffix
from headrank.reading.token_spans import token_spans, within_budget
from headrank.reading.tokenised import Remembered

_MANY = 8  # characters a token of the context, beyond which a list is checked before it is read


@dataclass
class PromptBuilder:
    """Builds prompts for one tokenizer; keeps what does not depend on the list.

    Texts never become tokens that were added to the tokenizer: a passage that holds
    ``<|im_end|>`` or ``<think>`` yields the characters (see :mod:`headrank.reading.plain_text`).

    Attributes:
        context: the model's longest sequence in tokens; None sets no limit.
        fit: documents keep all their tokens where the context holds them, and else the largest
            equal budget that fits. No document is cut below ``document_tokens``, if it is set: a
            list that would need it is handled as without ``fit``. In block layouts, whose
            documents do not share the context, one keeps what has room before the query.
        fewer: what an error advises if there are too many documents.
    """

    tokenizer: Any
    options: PromptOptions = field(default_factory=PromptOptions)
    context: int | None = None
    fit: bool = False
    fewer: str = "rerank fewer candidates"

    def __post_init__(self) -> None:
        self._plain = plain_tokenizer(self.tokenizer)
        self._token_characters = max(map(len, self.tokenizer.get_vocab()))
        before, after = self._wrapper()
        self.wrapper = {"opening": before, "closing": after}
        self._opening = tuple(self.tokenizer.encode(before, add_special_tokens=False))
        self._closing = tuple(self.tokenizer.encode(after, add_special_tokens=False))
        self._remembered = Remembered()
        check_room(self)

    def _wrapper(self) -> tuple[str, str]:
        """Return the chat template's text before and after the user's content."""
        if not (self.options.chat and self.tokenizer.chat_template):
            return self.tokenizer.bos_token or "", ""
        return chat_wrapper(self.tokenizer)

    def check_wrapper(self, provenance: Mapping, where: str) -> None:
        """Refuse heads or an adapter whose prompts stood in another chat template's text.

        Args:
            provenance: of the heads or the adapter. Files of earlier versions note no wrapper;
                they are taken as they are.
        """
        noted = provenance.get("wrapper")
        chat = (provenance.get("prompt") or {}).get("chat", True)
        if noted is None or noted == self.wrapper or chat != self.options.chat:
            return
        raise HeadRankError(
            f"{where} were made with prompts that stood between {_ends(noted)}, this tokenizer's "
            f"chat template gives {_ends(self.wrapper)}; use the model's folder of that time, or "
            "profile the heads again"
        )

    def build(self, candidates: CandidateList, queries: Sequence[str] | None = None) -> Prompt:
        """Return the prompt of one list.

        Args:
            candidates: documents in prompt order.
            queries: texts that each get a suffix over the shared prefix; by default the
                list's query and the calibration's.

        Raises:
            HeadRankError: no documents, one without text, an empty query, a query that leaves
                no room, or more tokens than the context holds (unless ``overlong`` is
                ``truncate`` or ``fit`` is set).
        """
        if queries is None:
            queries = (candidates.query, self.options.calibration)
        self._check_texts(candidates)
        budget = self.options.document_tokens
        texts = self.texts(candidates)
        queries = [self._manageable(query, self.context) for query in queries]
        if self.options.layout != "joint":
            return self._apart(candidates, texts, queries)
        if self.context is not None and sum(map(len, texts)) > _MANY * self.context:
            self._check_least(candidates, texts, queries)
        if not self.fit:
            return self._within(candidates, texts, queries, budget, self.options.overlong)
        prompt = self._assemble(texts, queries)
        if self.context is None or prompt.length <= self.context:
            return prompt
        fits, shorter = self._shrink(texts, queries, prompt)
        if fits >= (budget or 1):
            return replace(shorter, tokens=prompt.widths)
        return self._within(candidates, texts, queries, budget, self.options.overlong)

    def texts(self, candidates: CandidateList) -> list[str]:
        """Return the documents' texts, without what no token budget could keep."""
        limit = self.context if self.fit else self.options.document_tokens or self.context
        return [self._manageable(_text(passage), limit) for passage in candidates.passages]

    def _within(
        self,
        candidates: CandidateList,
        texts: list[str],
        queries: Sequence[str],
        budget: int | None,
        overlong: str,
    ) -> Prompt:
        """Return the prompt of texts cut to a budget, if it fits or may be made to fit."""
        texts, uncut = self._cut(texts, budget)
        parts = texts
        if self.context is not None and overlong == "error":
            parts = _leading(texts, 8 * _MANY * self.context)
        prompt = self._assemble(parts, queries)
        if len(parts) < len(texts) and prompt.length <= self.context:
            parts, prompt = texts, self._assemble(texts, queries)
        if self.context is None or prompt.length <= self.context:
            widths = prompt.widths
            return replace(prompt, tokens=tuple(uncut.get(i, n) for i, n in enumerate(widths)))
        # Some of the documents may be too many already: how long the others are is not known.
        whole = prompt if len(parts) == len(texts) else None
        fits, shorter = self._shrink(texts, queries, whole)
        if shorter is None:
            self._check_query(candidates, texts, queries)
            raise self._too_many(candidates)
        if overlong == "truncate":
            tokens = tuple(uncut.get(i, n) for i, n in enumerate(prompt.widths))
            return replace(shorter, tokens=tokens)
        found = (
            f"query {brief(candidates.query_id)}: {len(texts)} documents make {prompt.length} "
            f"tokens or more, the model's context is {self.context}"
        )
        remedy = f"set document_tokens to at most {fits}, {self.fewer}, or set overlong: truncate"
        asked = f"send fewer documents, or shorter ones (at most {fits} tokens each)"
        raise Unfit(f"{found}; {remedy}", f"{found}; {asked}")

    def _apart(self, candidates: CandidateList, texts: list[str], queries: Sequence[str]) -> Prompt:
        """Return the prompt of a list in a block layout; only the room before the query bounds it.

        With ``fit`` a document keeps what that room holds.
        """
        budget = room(self) if self.fit else self.options.document_tokens
        # One budget for all: a builder's room never changes.
        documents = self._remembered.tokenised(texts, lambda new: tokenised(self, new, budget))
        suffixes = self._suffixes(queries)
        prefix, spans, blocks, uncut = build_blocks(self, candidates, documents, queries, suffixes)
        prompt = Prompt(prefix, spans, suffixes, blocks=blocks)
        tokens = tuple(uncut.get(i, width) for i, width in enumerate(prompt.widths))
        return replace(prompt, tokens=tokens)

    def _check_texts(self, candidates: CandidateList) -> None:
        """Refuse a list without documents, a document without text, an empty query."""
        if not candidates.passages:
            raise HeadRankError(f"query {brief(candidates.query_id)}: the list holds no document")
        if not candidates.query.strip():
            raise HeadRankError(f"query {brief(candidates.query_id)}: the query is empty")
        for document, passage in zip(candidates.doc_ids, candidates.passages, strict=True):
            if not _text(passage):
                raise HeadRankError(
                    f"query {brief(candidates.query_id)}: document {brief(document)} has no text "
                    "to be read; leave it out of the candidates"
                )

    def _check_least(
        self, candidates: CandidateList, texts: Sequence[str], queries: Sequence[str]
    ) -> None:
        """Refuse at once what does not fit with one character a document."""
        least = self._assemble([text[:1] for text in texts], queries)
        if least.length > self.context:
            self._check_query(candidates, texts, queries)
            raise self._too_many(candidates)

    def _check_query(
        self, candidates: CandidateList, texts: Sequence[str], queries: Sequence[str]
    ) -> None:
        """Refuse a query that is what does not fit, where other documents could not help."""
        least = self._assemble([text[:1] for text in texts], queries)
        for query, suffix in zip(queries, least.suffixes, strict=True):
            tokens = self._query_tokens(query)
            room = self.context - len(least.prefix) - (len(suffix.ids) - tokens)
            if tokens >= self.context or (tokens > room >= 1 and tokens > len(least.prefix)):
                raise HeadRankError(
                    f"query {brief(candidates.query_id)}: the query has {tokens} tokens or more; "
                    f"the model's context of {self.context} tokens leaves it {max(room, 0)} beside "
                    f"{len(texts)} documents; shorten the query"
                )

    def _query_tokens(self, query: str) -> int:
        before = self.options.instruction + self.options.query.split("{query}")[0]
        (offsets,) = self._encode([before + query])["offset_mapping"]
        ((first, last),) = token_spans(offsets, [(len(before), len(before) + len(query))])
        return last - first

    def _too_many(self, candidates: CandidateList) -> HeadRankError:
        found = (
            f"query {brief(candidates.query_id)}: {len(candidates.passages)} documents do not fit "
            f"the model's context of {self.context} tokens even with one token each"
        )
        return Unfit(f"{found}; {self.fewer}", f"{found}; send fewer documents")

    def _shrink(
        self, texts: Sequence[str], queries: Sequence[str], whole: Prompt | None
    ) -> tuple[int, Prompt | None]:
        """Return the largest equal document budget that fits and its prompt; (0, None) if none.

        Budgets are tried from a guess, or from 1, in doubling steps, then by halves.

        Args:
            whole: the prompt of all the texts, from which a budget is guessed; None if it is too
                long to be made: then no try encodes much more than the context holds.
        """
        low, high, best, step = 0, self.context, None, 1
        budget, fitted, failed = 1, False, False
        if whole is not None:
            high = min(max(whole.widths), high)
            budget = _equal_budget(whole, self.context)
        while low < high:
            short, _ = self._cut([self._manageable(text, budget) for text in texts], budget)
            attempt = self._assemble(short, queries)
            if attempt.length <= self.context:
                low, best, fitted = budget, attempt, True
            else:
                high, failed = budget - 1, True
            if fitted and failed:
                budget = (low + high + 1) // 2
            else:
                budget = min(low + step, high) if fitted else max(high - step + 1, 1)
                step *= 2
        return low, best

    def _manageable(self, text: str, limit: int | None) -> str:
        """Return the text without an end that cannot be read, however it is encoded.

        No token covers more characters than the longest of the vocabulary, so what is left is
        more than twice ``limit`` tokens: encoding it tells the same, and a text of megabytes
        costs no minutes.
        """
        return text if limit is None else text[: 2 * (limit + 1) * self._token_characters]

    def _encode(self, texts: Sequence[str]) -> dict[str, list]:
        """Return ids and character offsets of each text; added tokens stay text."""
        found = self._plain.encode_batch(list(texts), add_special_tokens=False)
        return {
            "input_ids": [one.ids for one in found],
            "offset_mapping": [one.offsets for one in found],
        }

    def _cut(self, texts: Sequence[str], budget: int | None) -> tuple[list[str], dict[int, int]]:
        """Return the texts, each cut at the character where its token budget ends.

        Tokens are counted as they will stand: behind a marker and before the separator. A
        text's first character is kept even if it alone takes more.

        Returns:
            The texts, and ``{place: tokens before the cut}`` of those that were cut.
        """
        texts, uncut = list(texts), {}
        if budget is None:
            return texts, uncut
        marker = self.options.marker.format(number=1)
        # A token covers at least one byte, so a short text needs no tokenizer.
        pending = [i for i, text in enumerate(texts) if len(text.encode()) > budget]
        while pending:
            encoded = self._encode([marker + texts[i] + self.options.separator for i in pending])
            cut = []
            for i, offsets in zip(pending, encoded["offset_mapping"], strict=True):
                shorter, tokens = within_budget(texts[i], offsets, len(marker), budget)
                if shorter != texts[i]:
                    cut.append(i)
                    uncut.setdefault(i, tokens)
                    texts[i] = shorter
            # The end of a cut text can split into more tokens than it had within the word.
            pending = cut
        return texts, uncut

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
            suffixes=self._tail_suffixes(queries, ids[1:], offsets[1:]),
            tokens=tuple(stop - start for start, stop in spans),
        )

    def _tails(self, queries: Sequence[str]) -> list[str]:
        """Return the text behind the documents, for each query."""
        before, after = self.options.query.split("{query}")
        return [self.options.instruction + before + query + after for query in queries]

    def _suffixes(self, queries: Sequence[str]) -> tuple[Suffix, ...]:
        """Return the suffix of each query."""
        encoded = self._encode(self._tails(queries))
        return self._tail_suffixes(queries, encoded["input_ids"], encoded["offset_mapping"])

    def _tail_suffixes(self, queries: Sequence[str], ids: Any, offsets: Any) -> tuple[Suffix, ...]:
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


def _equal_budget(prompt: Prompt, context: int) -> int:
    """Return about the largest equal budget of its documents with which a prompt fits; 1 or more.

    A cut text can take a token less or more, so this is where to look, not the answer.
    """
    widths = sorted(prompt.widths)
    room = context - (prompt.length - sum(widths))
    for number, width in enumerate(widths):
        left = len(widths) - number
        if width * left > room:
            return max(room // left, 1)
        room -= width
    return widths[-1]


def _leading(texts: list[str], characters: int) -> list[str]:
    """Return the first texts, up to the one with which they hold so many characters."""
    total = 0
    for number, text in enumerate(texts, start=1):
        total += len(text)
        if total > characters:
            return texts[:number]
    return texts


def _ends(wrapper: object) -> str:
    """Return in short where a wrapper's texts differ from others': their ends next to the text."""
    if not isinstance(wrapper, Mapping):
        return repr(wrapper)
    opening, closing = str(wrapper.get("opening", "")), str(wrapper.get("closing", ""))
    return f"{opening!r} and {closing!r}"
