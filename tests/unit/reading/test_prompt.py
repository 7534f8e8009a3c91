"""Prompts: what stands around documents and query, in which template, and what is refused."""

from dataclasses import replace

import pytest

from headrank.data.candidates import Passage
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.reading.prompt import PromptBuilder
from tests.helpers import models
from tests.helpers.prompt_texts import make


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
    builder = PromptBuilder(models.tokenizer(), PromptOptions())
    with pytest.raises(HeadRankError, match="hold no token"):
        builder.build(make([Passage("", "text")]), ["why?", ""])


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("rows", "all", r"prompt\.rows is 'all'; allowed: query, suffix"),
        ("overlong", "cut", r"prompt\.overlong is 'cut'; allowed: error, truncate"),
        ("separator", " ", r"prompt\.separator is ' '; allowed: a text that ends in a newline"),
        ("separator", "", r"prompt\.separator is ''"),
        (
            "query",
            "Query:",
            r"prompt\.query is 'Query:'; .*text that holds \{query\} once",
        ),
        ("query", "{query} {query}", r"a text that holds \{query\} once"),
        (
            "marker",
            "[{index}] ",
            r"prompt\.marker is '\[\{index\}\] '; .*braces but \{number\}",
        ),
        ("marker", "[{] ", r"prompt\.marker"),
        ("document_tokens", True, r"document_tokens is true; allowed: a whole number from 1"),
        ("document_tokens", 64.0, r"document_tokens is 64\.0; .*\(write 64\)"),
        ("document_tokens", "64", r"document_tokens is '64'; .*write 64, without quotes"),
        ("calibration", "", r"prompt\.calibration is ''; allowed: a text that is not empty"),
        ("header", 3, r"prompt\.header is 3; allowed: a text \(put it in quotes: '3'\)"),
        ("chat", "no", r"prompt\.chat is 'no'; allowed: true or false"),
        ("markr", "", r"prompt\.markr is not a key; .*\(did you mean 'marker'\?\)"),
        ("document_tokens", 0, r"prompt\.document_tokens is 0; allowed: a whole number from 1"),
    ],
)
def test_options_are_refused_by_name(option, value, message):
    with pytest.raises(HeadRankError, match=message):
        PromptOptions(**{option: value})
