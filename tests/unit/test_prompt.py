"""Prompts: exact spans and rows on any Unicode, control tokens, budgets, limits."""

import re
import unicodedata
from dataclasses import replace

import models
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers.convert_slow_tokenizer import bytes_to_unicode

from headrank.errors import HeadRankError
from headrank.lists import CandidateList, Passage
from headrank.prompt import PromptBuilder, PromptOptions, without_calibration
from headrank.spans import token_spans

BYTES = {character: byte for byte, character in bytes_to_unicode().items()}
BYTE_LEVEL = ("gpt2", "qwen")
TRAPS = (
    "[2] ",
    "[1]",
    "<|im_end|>",
    "<|im_start|>user\n",
    "<|endoftext|>",
    "\n\nQuery: ",
    "\n\n",
    "\r\n",
    "{query}",
    "{number}",
    "{",
    "Which of the passages above answer the query below?",
    "\x02content\x03",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "é",
    "e\u0301\u0327",
    "שלום",
    "مرحبا",
    "\u200f",
    "\u200b",
    "\ufeff",
    "\u00a0",
    "漢字かな交じり",
    "한국어",
    "\u1112\u1161\u11ab",
    "𝔘𝔫𝔦",
    "ﬁ",
    "\ufffd",
    "\x00",
    "\u2028",
    " .",
    ".",
    "...\n",
)
TEXT = st.lists(
    st.one_of(
        st.sampled_from(TRAPS),
        st.sampled_from(models.TEXTS),
        st.text(max_size=6),
        st.text(alphabet="ab .\n", max_size=6),
    ),
    min_size=1,
    max_size=6,
).map("".join)
FULL = TEXT.filter(str.strip)
PASSAGES = st.lists(
    st.one_of(
        st.builds(Passage, st.just(""), FULL),
        st.builds(Passage, TEXT, FULL),
        st.builds(Passage, FULL, st.just("")),
    ),
    min_size=1,
    max_size=6,
)
KINDS = st.sampled_from(BYTE_LEVEL)
MANY = settings(max_examples=100, deadline=None)
FEW = settings(max_examples=50, deadline=None)


def make(passages, query="what does a policy pay", query_id="q1"):
    names = tuple(f"d{number}" for number in range(len(passages)))
    return CandidateList(query_id, query, names, tuple(passages))


def content(passage):
    """Return what stands in the prompt for a passage."""
    return "\n".join(part for part in (passage.title.strip(), passage.text.strip()) if part)


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
        assert without_calibration(alone).suffixes == (suffix,)


@MANY
@given(
    kind=st.sampled_from(("gpt2", "qwen", "gemma")),
    passages=PASSAGES,
    budget=st.integers(1, 12),
)
@example(kind="gpt2", passages=[Passage("", "a👩‍👩‍👧‍👦"), Passage("", "漢字")], budget=4)
@example(kind="gpt2", passages=[Passage("", "house of cards")], budget=1)
# The last word kept takes more tokens without the space that stood behind it.
@example(kind="gemma", passages=[Passage("", "the insured the of The")], budget=3)
def test_token_budgets_hold(kind, passages, budget):
    tokenizer = models.tokenizer(kind)
    whole = PromptBuilder(tokenizer).build(make(passages))
    cut = PromptBuilder(tokenizer, PromptOptions(document_tokens=budget)).build(make(passages))
    for number, passage in enumerate(passages):
        start, stop = cut.spans[number]
        # Only a first character that is dearer than the budget by itself may exceed it.
        first = len(tokenizer.encode(" " + content(passage)[0], add_special_tokens=False))
        assert stop - start <= max(budget, first)
        if kind != "gemma":
            # Cut between two characters: a half one would decode to a replacement mark.
            kept = tokenizer.decode(cut.prefix[start:stop]).strip()
            assert kept and content(passage).startswith(kept)
        start, stop = whole.spans[number]
        if stop - start <= budget:
            assert cut.spans[number][1] - cut.spans[number][0] == stop - start


def test_a_budget_is_used_up():
    tokenizer = models.tokenizer("gpt2")
    one = make([Passage("", models.TEXTS[1])])
    ((start, stop),) = PromptBuilder(tokenizer).build(one).spans
    for budget in range(1, stop - start + 1):
        options = PromptOptions(document_tokens=budget)
        ((start, stop),) = PromptBuilder(tokenizer, options).build(one).spans
        # A white space at the end of the cut is dropped, nothing else.
        assert stop - start in (budget, budget - 1)
        assert stop - start == budget or budget > 1


def limited(context, **options):
    return PromptBuilder(models.tokenizer("qwen"), PromptOptions(**options), context=context)


@FEW
@given(passages=PASSAGES, spare=st.integers(0, 40))
def test_the_remedy_of_an_overlong_list_works(passages, spare):
    """The number that the error names fits, the next larger does not."""
    one = make(passages)
    prompt = limited(None).build(one)
    least = limited(None, document_tokens=1).build(one).length
    context = least + spare
    assert limited(prompt.length).build(one) == prompt
    if context >= prompt.length:
        assert limited(context).build(one) == prompt
        return
    with pytest.raises(HeadRankError) as caught:
        limited(context).build(one)
    message = str(caught.value)
    assert f"query q1: {len(passages)} documents make {prompt.length} tokens" in message
    assert f"context is {context};" in message
    assert "rerank fewer candidates, or set overlong: truncate" in message
    budget = int(re.search(r"document_tokens to at most (\d+)", message).group(1))
    shorter = limited(context, document_tokens=budget).build(one)
    assert shorter.length <= context
    assert limited(None, document_tokens=budget + 1).build(one).length > context
    assert limited(context, overlong="truncate").build(one) == shorter


@pytest.mark.parametrize("unit", ["heads rank ", "x", "\u0301", "[1] "])
def test_a_text_of_megabytes_is_never_encoded_whole(unit, monkeypatch):
    """What is cut away before encoding cannot be read: a shorter text gives the same prompt."""
    longest = []
    encode = PromptBuilder._encode
    monkeypatch.setattr(
        PromptBuilder,
        "_encode",
        lambda self, texts: longest.append(max(map(len, texts))) or encode(self, texts),
    )
    huge, long = unit * 1_000_000, unit * 1_000
    for options in ({"document_tokens": 9}, {"overlong": "truncate"}):
        builder = limited(200, **options)
        texts = [[Passage("", "one"), Passage("", text)] for text in (huge, long)]
        assert builder.build(make(texts[0])) == builder.build(make(texts[1]))
    with pytest.raises(HeadRankError, match=r"2 documents make .* tokens or more"):
        limited(200).build(make(texts[0]))
    with pytest.raises(HeadRankError, match="do not fit the model's context"):
        limited(200).build(make([Passage("", "one")]), [huge])
    assert max(longest) < 50_000


def test_too_many_documents_for_the_context_cannot_be_truncated():
    one = make([Passage("", "one")] * 30)
    for overlong in ("truncate", "error"):
        with pytest.raises(HeadRankError, match=r"q1: 30 documents .* 60 tokens.*rerank fewer"):
            limited(60, overlong=overlong).build(one)


def test_truncation_counts_every_suffix():
    one = make([Passage("", models.TEXTS[0])] * 4)
    long = "what does a policy pay " * 10
    builder = limited(limited(None).build(one).length, overlong="truncate")
    prompt = builder.build(one, ["short", long])
    assert prompt.length <= builder.context
    assert len(prompt.prefix) < len(builder.build(one, ["short"]).prefix)


def test_rows_of_the_whole_suffix():
    tokenizer = models.tokenizer("qwen")
    one = make([Passage("", "text")])
    query = PromptBuilder(tokenizer).build(one)
    suffix = PromptBuilder(tokenizer, PromptOptions(rows="suffix")).build(one)
    assert suffix.prefix == query.prefix
    for short, whole in zip(query.suffixes, suffix.suffixes, strict=True):
        assert whole.rows == (0, len(whole.ids))
        assert whole.ids[: len(short.ids)] == short.ids
        assert tokenizer.decode(whole.ids).endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_what_follows_the_query_is_not_read():
    tokenizer = models.tokenizer("qwen")
    one = make([Passage("", "text")])
    plain = PromptBuilder(tokenizer).build(one)
    options = PromptOptions(query="\n\nQuery: {query}\nAnswer:")
    # Causal attention: no row of the query sees it, so it is left out.
    assert PromptBuilder(tokenizer, options).build(one) == plain
    whole = PromptBuilder(tokenizer, replace(options, rows="suffix")).build(one)
    assert "\nAnswer:" in tokenizer.decode(whole.suffixes[0].ids)


def test_the_chat_template_wraps_documents_and_query():
    tokenizer = models.tokenizer("qwen")
    one = make([Passage("Title", "text")])
    prompt = PromptBuilder(tokenizer, PromptOptions(rows="suffix")).build(one, ["why?"])
    assert tokenizer.decode(prompt.prefix + prompt.suffixes[0].ids) == (
        "<|im_start|>user\nHere are some passages:\n\n[1] Title\ntext\n\n"
        "Which of the passages above answer the query below?\n\nQuery: why?"
        "<|im_end|>\n<|im_start|>assistant\n"
    )
    plain = PromptBuilder(tokenizer, PromptOptions(chat=False)).build(one)
    assert tokenizer.decode(plain.prefix).startswith("<|im_start|>Here are some passages")


def test_a_template_that_hides_the_content_is_refused():
    tokenizer = models.tokenizer("qwen")
    try:
        tokenizer.chat_template = "{{ messages[0]['content'] | upper }}"
        with pytest.raises(HeadRankError, match=r"prompt\.chat to false"):
            PromptBuilder(tokenizer)
        tokenizer.chat_template = "{{ messages[0]['content'] }}{{ messages[0]['content'] }}"
        with pytest.raises(HeadRankError, match=r"prompt\.chat to false"):
            PromptBuilder(tokenizer)
        PromptBuilder(tokenizer, PromptOptions(chat=False))
    finally:
        tokenizer.chat_template = models.CHAT


def test_a_slow_tokenizer_is_refused():
    class Slow:
        is_fast = False

    with pytest.raises(HeadRankError, match=r"Slow gives no character offsets.*tokenizer\.json"):
        PromptBuilder(Slow())


def test_two_hundred_documents_in_one_call_of_the_tokenizer(monkeypatch):
    """Tokenising a prompt anew for each document takes seconds at this size."""
    tokenizer = models.tokenizer("qwen")
    words = " ".join(models.TEXTS).split()
    passages = [
        Passage("", " ".join(words[(i + j) % len(words)] for j in range(100))) for i in range(200)
    ]
    builder = PromptBuilder(tokenizer)
    calls = []
    encode = PromptBuilder._encode

    def noted(self, texts):
        calls.append(len(texts))
        return encode(self, texts)

    monkeypatch.setattr(PromptBuilder, "_encode", noted)
    prompt = builder.build(make(passages))
    assert calls == [3]
    assert len(prompt.spans) == 200
    for number in (0, 9, 99, 199):
        start, stop = prompt.spans[number]
        assert passages[number].text in tokenizer.decode(prompt.prefix[start:stop])
    index = prompt.document_index()
    assert index.shape == (len(prompt.prefix),)
    assert [int((index == i).sum()) for i in range(200)] == [b - a for a, b in prompt.spans]
    assert (index == -1).sum() == len(prompt.prefix) - sum(b - a for a, b in prompt.spans)


@pytest.mark.parametrize(
    ("passage", "query", "message"),
    [
        (Passage("", ""), "why", "document d1 has no text"),
        (Passage(" \n", "\t"), "why", "document d1 has no text"),
        (Passage("", "text"), "", "query q1: the query is empty"),
        (Passage("", "text"), " \n ", "query q1: the query is empty"),
    ],
)
def test_nothing_to_read_is_refused(passage, query, message):
    with pytest.raises(HeadRankError, match=message):
        PromptBuilder(models.tokenizer()).build(make([Passage("", "first"), passage], query))


def test_an_empty_list_is_refused():
    with pytest.raises(HeadRankError, match="query q1: the list holds no document"):
        PromptBuilder(models.tokenizer()).build(make([]))


def test_an_empty_calibration_is_refused():
    builder = PromptBuilder(models.tokenizer(), PromptOptions(calibration=""))
    with pytest.raises(HeadRankError, match="hold no token"):
        builder.build(make([Passage("", "text")]))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("rows", "all", r"prompt\.rows is 'all'; allowed: query, suffix"),
        ("overlong", "cut", r"prompt\.overlong is 'cut'; allowed: error, truncate"),
        ("separator", " ", r"prompt\.separator is ' '; it must end in a newline"),
        ("separator", "", r"prompt\.separator is ''"),
        ("query", "Query:", r"prompt\.query is 'Query:'; it must hold \{query\} once"),
        ("query", "{query} {query}", r"it must hold \{query\} once"),
        ("marker", "[{index}] ", r"prompt\.marker is '\[\{index\}\] '; \{number\} is all"),
        ("marker", "[{] ", r"prompt\.marker"),
        ("document_tokens", 0, r"prompt\.document_tokens is 0; it must be 1 or more"),
    ],
)
def test_options_are_refused_by_name(option, value, message):
    with pytest.raises(HeadRankError, match=message):
        PromptOptions(**{option: value})


def test_spans_that_share_a_token_are_refused():
    offsets = [(0, 3), (3, 6), (6, 9)]
    assert token_spans(offsets, [(0, 3), (3, 9)]) == [(0, 1), (1, 3)]
    assert token_spans(offsets, [(1, 2), (4, 5), (8, 9)]) == [(0, 1), (1, 2), (2, 3)]
    with pytest.raises(HeadRankError, match=r"characters 5\.\.9 share a token"):
        token_spans(offsets, [(0, 4), (5, 9)])
    with pytest.raises(HeadRankError, match=r"characters 9\.\.12 of the prompt hold no token"):
        token_spans(offsets, [(0, 3), (9, 12)])
