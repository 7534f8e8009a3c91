"""Texts of the block layouts are tokenised once, and remembered within a bound."""

from headrank.options.prompt import PromptOptions
from headrank.reading.prompt import PromptBuilder
from headrank.reading.tokenised import _ENTRY, Remembered, Tokenised
from tests.helpers import models
from tests.helpers import tiny_models as tiny


def test_a_list_that_was_seen_gives_the_same_prompt_without_the_tokenizer(monkeypatch):
    tokenizer = models.loaded("llama").tokenizer
    options = PromptOptions(layout="block", document_tokens=5)
    builder = PromptBuilder(tokenizer, options)
    one = tiny.candidates()
    first = builder.build(one)
    encoded = []
    whole = builder._encode
    monkeypatch.setattr(builder, "_encode", lambda texts: encoded.extend(texts) or whole(texts))
    again = builder.build(one)
    assert (again, again.tokens) == (first, first.tokens)
    assert any(width < tokens for width, tokens in zip(again.widths, again.tokens, strict=True))
    assert not any(one.passages[0].text[:20] in text for text in encoded)
    assert builder.build(one) == PromptBuilder(tokenizer, options).build(one)


def test_what_is_remembered_is_bounded_and_the_oldest_use_goes():
    asked = []

    def make(texts):
        asked.extend(texts)
        return [Tokenised(text, (1,), (0, 1), None) for text in texts]

    known = Remembered(limit=10 + 3 * _ENTRY)  # three short texts
    assert [one.text for one in known.tokenised(["aaaa", "bbbb", "aaaa"], make)] == [
        "aaaa",
        "bbbb",
        "aaaa",
    ]
    known.tokenised(["aaaa"], make)
    known.tokenised(["cc"], make)
    known.tokenised(["d"], make)  # bbbb goes
    assert asked == ["aaaa", "bbbb", "cc", "d"]
    known.tokenised(["aaaa", "cc", "d"], make)
    assert len(asked) == 4
    assert [one.text for one in known.tokenised(["e" * 500, "bbbb"], make)] == ["e" * 500, "bbbb"]
    known.tokenised(["e" * 500], make)
    assert asked[4:] == ["e" * 500, "bbbb", "e" * 500]
