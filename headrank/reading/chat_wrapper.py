"""What a model's chat template puts before and after a user's text, the same on every day."""

from __future__ import annotations

import weakref
from datetime import datetime
from typing import Any

from headrank.errors import HeadRankError

TODAY = datetime(2024, 7, 26)
"""The date that every template is told: Llama 3.2's own, where it knows no other."""
_CONTENT = "\x02content\x03"
_CALLS = 12  # a template that draws one of two texts passes once in 2048
_REMEDY = (
    'set prompt.chat to false (in the file of --prompt: {"chat": false}), or give the model '
    "another chat_template"
)
_known: weakref.WeakKeyDictionary[Any, dict] = weakref.WeakKeyDictionary()


def chat_wrapper(tokenizer: Any, thinking: bool = False) -> tuple[str, str]:
    """Return the chat template's text before and after the user's content.

    Args:
        thinking: Qwen3's switch; other templates ignore it.

    Raises:
        HeadRankError: the template fails, does not show the content once, or does not give the
            same text in every call.
    """
    made = _known.setdefault(tokenizer, {})
    key = (repr(tokenizer.chat_template), thinking)
    if key not in made:
        made[key] = _rendered(tokenizer, thinking)
    return made[key]


def _rendered(tokenizer: Any, thinking: bool) -> tuple[str, str]:
    try:
        texts = [_render(tokenizer, thinking) for _ in range(_CALLS)]
    except Exception as error:  # a template is a program of others and raises what it likes
        lines = str(error).splitlines() or [""]
        raise HeadRankError(
            f"the tokenizer's chat template cannot wrap a user's text ({type(error).__name__}: "
            f"{lines[0][:200]}); {_REMEDY}"
        ) from None
    if not all(isinstance(text, str) and text == texts[0] for text in texts):
        raise HeadRankError(
            "the tokenizer's chat template gives another text in each call, so no score could be "
            f"repeated; {_REMEDY}"
        )
    before, found, after = texts[0].partition(_CONTENT)
    if not found or _CONTENT in after:
        raise HeadRankError(
            f"the tokenizer's chat template does not show the user's content once; {_REMEDY}"
        )
    return before, after


def _render(tokenizer: Any, thinking: bool) -> str:
    """Return the template's text of one message of a user."""
    template = tokenizer.get_chat_template()
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": _CONTENT}],
        chat_template=_CLOCK + template if "strftime_now" in template else template,
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=thinking,
    )


def _fixed_clock() -> str:
    """Return a Jinja macro that stands in for transformers' ``strftime_now``.

    transformers hands that function to every template, and it reads the machine's clock. A
    template takes no function from its caller, but its own macro goes before one of that name.
    """
    forms = {f"%-{letter}": TODAY.strftime(f"%{letter}").lstrip("0") for letter in "dmHIMSj"}
    forms |= {f"%{letter}": TODAY.strftime(f"%{letter}") for letter in "aAwdbBmyYHIMpSfjUWcxXGuVD"}
    forms |= {"%-I": "12", "%-H": "0", "%-M": "0", "%-S": "0", "%Z": "", "%z": "", "%%": "%"}
    replaced = "".join(f" | replace({form!r}, {text!r})" for form, text in forms.items())
    # `+%}` keeps a line break with which the template itself may begin.
    return "{% macro strftime_now(form) %}{{ form" + replaced + " }}{% endmacro +%}"


_CLOCK = _fixed_clock()
