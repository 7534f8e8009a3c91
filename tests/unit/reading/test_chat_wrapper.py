"""Chat templates: the same text on every day and in every call, or refused."""

import datetime

import pytest
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from headrank.data.candidates import Passage
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.reading.prompt import PromptBuilder
from tests.helpers import models
from tests.helpers.prompt_texts import make

# Llama 3.2's way to tell the date.
DATED = (
    "{% if not date_string is defined %}{% if strftime_now is defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}{% else %}"
    "{% set date_string = '26 Jul 2024' %}{% endif %}{% endif %}"
    "Today: {{ date_string }}\n" + models.CHAT
)


def tokenizer(template):
    result = PreTrainedTokenizerFast(
        tokenizer_object=models.tokenizer("qwen").backend_tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
    )
    result.chat_template = template
    return result


def on(day, monkeypatch):
    """Set the clock that transformers reads."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2031, 1, day)

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)


def test_a_template_with_the_date_gives_one_prompt_on_every_day(monkeypatch):
    prompts = []
    for day in (1, 2):
        on(day, monkeypatch)
        own = tokenizer(DATED)
        # transformers itself renders another text each day.
        assert f"0{day} Jan 2031" in own.apply_chat_template(
            [{"role": "user", "content": "x"}], tokenize=False
        )
        builder = PromptBuilder(own)
        assert builder.wrapper["opening"].startswith("Today: 26 Jul 2024\n<|im_start|>user\n")
        prompts.append(builder.build(make([Passage("", "a text")])))
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ ['a', 'b', 'c'] | random }}" + models.CHAT, "another text in each call"),
        ("{{ messages[0]['content'] | upper }}", "does not show the user's content once"),
        ("{% for m in messages %}", r"cannot wrap a user's text \(TemplateSyntaxError"),
        ("{{ raise_exception('needs a system turn') }}", "needs a system turn"),
        ("{{ tools[0].name }}", "UndefinedError"),
        ({"tool_use": models.CHAT}, "cannot wrap a user's text"),
    ],
)
def test_a_template_that_does_not_serve_is_refused_in_one_line(template, message):
    own = tokenizer(template)
    with pytest.raises(HeadRankError, match=message) as caught:
        PromptBuilder(own)
    assert "set prompt.chat to false" in str(caught.value) and "\n" not in str(caught.value)
    PromptBuilder(own, PromptOptions(chat=False)).build(make([Passage("", "a text")]))


def test_heads_of_another_template_are_refused():
    before = PromptBuilder(tokenizer(models.CHAT))
    after = PromptBuilder(tokenizer(DATED))
    noted = {"prompt": {"chat": True}, "wrapper": before.wrapper}
    before.check_wrapper(noted, "the heads")
    with pytest.raises(HeadRankError, match=r"the heads .*Today: 26 Jul.*profile the heads again"):
        after.check_wrapper(noted, "the heads")
    # Earlier versions noted none; without the template on purpose there is nothing to compare.
    after.check_wrapper({"prompt": {"chat": True}}, "the heads")
    plain = PromptBuilder(tokenizer(DATED), PromptOptions(chat=False))
    plain.check_wrapper(noted, "the heads")
