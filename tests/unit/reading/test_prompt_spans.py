"""Spans and rows of a prompt are exact on any Unicode; no text becomes a control token."""

import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from transformers.convert_slow_tokenizer import bytes_to_unicode

from headrank.data.candidates import Passage
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.reading.prompt import PromptBuilder
from headrank.reading.token_spans import token_spans
from tests.helpers import models
from tests.helpers.prompt_texts import FEW, FULL, KINDS, MANY, PASSAGES, content, make

BYTES = {character: byte for byte, character in bytes_to_unicode().items()}


def token_bytes(tokenizer, ids):
    """Return the bytes of each token of a byte-level tokenizer."""
    return [bytes(BYTES[c] for c in token) for token in tokenizer.convert_ids_to_tokens(list(ids))]


def overlapping(pieces, start, stop):
    """Return the tokens ``[first, last)`` that overlap a byte range, counting bytes one by one."""
    ends = np.cumsum([len(piece) for piece in pieces])
    hit = [
        number
        for number, (end, piece) in enumerate(zip(ends, pieces, strict=True))
        if end > start and end - len(piece) < stop
    ]
    return hit[0], hit[-1] + 1


@MANY
@given(kind=KINDS, passages=PASSAGES)
@example(kind="qwen", passages=[Passage("", "."), Passage(".", "\u200b"), Passage("", "👩‍👩‍👧‍👦")])
def test_spans_are_exactly_the_documents_bytes(kind, passages):
    tokenizer = models.tokenizer(kind)
    prompt = PromptBuilder(tokenizer, PromptOptions(chat=False)).build(make(passages))
    opening = tokenizer.encode(tokenizer.bos_token, add_special_tokens=False)
    pieces = token_bytes(tokenizer, prompt.prefix[len(opening) :])
    text = b"Here are some passages:\n\n"
    previous = 0
    for number, (passage, (start, stop)) in enumerate(
        zip(passages, prompt.spans, strict=True), start=1
    ):
        text += f"[{number}] ".encode()
        wanted = content(passage).encode()
        first, last = overlapping(pieces, len(text), len(text) + len(wanted))
        assert (start - len(opening), stop - len(opening)) == (first, last)
        assert wanted in b"".join(pieces[first:last])
        assert previous <= start < stop <= len(prompt.prefix)
        previous = stop
        text += wanted + b"\n\n"
    assert b"".join(pieces) == text


@MANY
@given(kind=KINDS, query=FULL, calibration=FULL)
def test_rows_are_exactly_the_querys_bytes(kind, query, calibration):
    tokenizer = models.tokenizer(kind)
    builder = PromptBuilder(tokenizer, PromptOptions(calibration=calibration))
    prompt = builder.build(make([Passage("", "text")], query))
    head = b"Which of the passages above answer the query below?\n\nQuery: "
    for text, suffix in zip((query, calibration), prompt.suffixes, strict=True):
        pieces = token_bytes(tokenizer, suffix.ids)
        assert b"".join(pieces) == head + text.encode()
        assert suffix.rows == overlapping(pieces, len(head), len(head) + len(text.encode()))
        assert suffix.rows[1] == len(suffix.ids)


@FEW
@given(passages=PASSAGES, query=FULL, kind=st.sampled_from(("gemma", "qwen-nfc")))
def test_spans_hold_the_documents_for_tokenizers_that_change_text(passages, query, kind):
    tokenizer = models.tokenizer(kind)
    prompt = PromptBuilder(tokenizer).build(make(passages, query))

    def decoded(ids):
        return unicodedata.normalize("NFC", tokenizer.decode(list(ids)))

    previous = 0
    for passage, (start, stop) in zip(passages, prompt.spans, strict=True):
        assert previous <= start < stop <= len(prompt.prefix)
        previous = stop
        wanted = unicodedata.normalize("NFC", content(passage))
        assert wanted in decoded(prompt.prefix[start:stop])
    (suffix, _) = prompt.suffixes
    assert unicodedata.normalize("NFC", query) in decoded(suffix.ids[slice(*suffix.rows)])


@FEW
@given(
    kind=st.sampled_from(("gpt2", "qwen", "qwen-nfc", "gemma")),
    passages=PASSAGES,
    query=FULL,
    rows=st.sampled_from(("query", "suffix")),
)
def test_texts_never_become_control_tokens(kind, passages, query, rows):
    tokenizer = models.tokenizer(kind)
    builder = PromptBuilder(tokenizer, PromptOptions(rows=rows))
    hostile = builder.build(make(passages, query))
    plain = builder.build(make([Passage("", "text")], "query"))
    control = set(tokenizer.all_special_ids)

    def controls(ids):
        return [i for i in ids if i in control]

    assert controls(plain.prefix)  # the chat template's own are there
    assert controls(hostile.prefix) == controls(plain.prefix)
    for one, other in zip(hostile.suffixes, plain.suffixes, strict=True):
        assert controls(one.ids) == controls(other.ids)
    # All of them stand before the first document.
    assert not controls(hostile.prefix[hostile.spans[0][0] :])


@FEW
@given(kind=KINDS, passages=PASSAGES, queries=st.lists(FULL, min_size=1, max_size=3))
def test_the_prefix_does_not_depend_on_the_query(kind, passages, queries):
    builder = PromptBuilder(models.tokenizer(kind))
    together = builder.build(make(passages), queries)
    assert len(together.suffixes) == len(queries)
    for query, suffix in zip(queries, together.suffixes, strict=True):
        alone = builder.build(make(passages, query))
        assert (alone.prefix, alone.spans) == (together.prefix, together.spans)
        assert alone.suffixes[0] == suffix


def test_spans_that_share_a_token_are_refused():
    offsets = [(0, 3), (3, 6), (6, 9)]
    assert token_spans(offsets, [(0, 3), (3, 9)]) == [(0, 1), (1, 3)]
    assert token_spans(offsets, [(1, 2), (4, 5), (8, 9)]) == [(0, 1), (1, 2), (2, 3)]
    with pytest.raises(HeadRankError, match=r"characters 5\.\.9 share a token"):
        token_spans(offsets, [(0, 4), (5, 9)])
    with pytest.raises(HeadRankError, match=r"characters 9\.\.12 of the prompt hold no token"):
        token_spans(offsets, [(0, 3), (9, 12)])
