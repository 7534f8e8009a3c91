"""Lengths of a prompt: budgets of tokens, the model's context, texts of megabytes."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrank.data.candidates import Passage
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.reading.prompt import PromptBuilder
from tests.helpers import models
from tests.helpers.prompt_texts import FEW, MANY, PASSAGES, content, make


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
    with pytest.raises(HeadRankError, match=r"the query has \d+ tokens.*context of 200.*shorten"):
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


def test_thousands_of_documents_are_refused_before_they_are_encoded(monkeypatch):
    encoded = []
    encode = PromptBuilder._encode
    monkeypatch.setattr(
        PromptBuilder,
        "_encode",
        lambda self, texts: encoded.append(sum(map(len, texts))) or encode(self, texts),
    )
    texts = [Passage("", " ".join(models.TEXTS) * 4)] * 2000
    for options in ({}, {"document_tokens": 80}, {"overlong": "truncate"}):
        encoded.clear()
        with pytest.raises(HeadRankError, match=r"2000 documents do not fit.*one token each"):
            limited(2048, **options).build(make(texts))
        assert sum(encoded) < 100_000 < sum(len(p.text) for p in texts)
    # Few enough for one token each, too long for any sensible budget.
    encoded.clear()
    with pytest.raises(HeadRankError, match=r"150 documents make \d+ tokens or more") as caught:
        limited(2048).build(make(texts[:150]))
    budget = int(re.search(r"document_tokens to at most (\d+)", str(caught.value)).group(1))
    assert limited(2048, document_tokens=budget).build(make(texts[:150])).length <= 2048
    assert limited(None, document_tokens=budget + 1).build(make(texts[:150])).length > 2048


@pytest.mark.parametrize("overlong", ["error", "truncate"])
def test_a_query_that_is_too_long_is_what_the_error_names(overlong):
    builder = limited(300, overlong=overlong)
    one = make([Passage("", "one"), Passage("", "two")], "why " * 400)
    with pytest.raises(HeadRankError) as caught:
        builder.build(one)
    found = re.fullmatch(
        r"query q1: the query has (\d+) tokens or more; the model's context of 300 tokens leaves "
        r"it (\d+) beside 2 documents; shorten the query",
        str(caught.value),
    )
    assert int(found.group(1)) >= 400
    # The number it names is right: so many fit, one more does not.
    room = int(found.group(2))
    fitting = next(n for n in range(400, 0, -1) if builder._query_tokens("why " * n) <= room)
    builder.build(make([Passage("", "o"), Passage("", "t")], "why " * fitting))
    with pytest.raises(HeadRankError, match="shorten the query"):
        builder.build(make([Passage("", "o"), Passage("", "t")], "why " * (fitting + 2)))


def fitting(context, **options):
    tokenizer = models.tokenizer("qwen")
    return PromptBuilder(tokenizer, PromptOptions(**options), context=context, fit=True)


@FEW
@given(passages=PASSAGES, spare=st.integers(0, 40))
def test_fit_without_a_budget_keeps_all_or_cuts_alike_to_the_most_that_fits(passages, spare):
    one = make(passages)
    whole = limited(None).build(one)
    least = limited(None, document_tokens=1).build(one).length
    assert fitting(whole.length).build(one) == whole
    assert fitting(None).build(one) == whole
    context = least + spare
    if context >= whole.length:
        return
    found = fitting(context).build(one)
    assert found.length <= context and found.tokens == whole.widths
    with pytest.raises(HeadRankError) as caught:
        limited(context).build(one)
    most = int(re.search(r"document_tokens to at most (\d+)", str(caught.value)).group(1))
    assert found.spans == limited(context, document_tokens=most).build(one).spans


def test_fit_says_so_where_nothing_fits():
    many = make([Passage("", "a")] * 60)
    with pytest.raises(HeadRankError, match=r"60 documents do not fit .* even with one token"):
        fitting(64).build(many)
