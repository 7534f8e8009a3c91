"""Types of single settings, each with the words for what it allows."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union

from pydantic import AfterValidator, Discriminator, Field, PlainValidator, Tag, ValidationError
from pydantic_core import PydanticCustomError, core_schema

from headrank.settings.fields import ABSENT, fields_of


@dataclasses.dataclass(frozen=True)
class Says:
    """Completes ``key is value; allowed: ...`` for a type.

    Attributes:
        allowed: what may stand there, in words.
        kind: ``whole``, ``number``, ``text`` or empty; decides the hint on how to write it.
    """

    allowed: str
    kind: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def _check(self, value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            made = validate(value)
        except ValidationError as error:
            # What is wrong inside a list or a mapping is told there.
            if any(_deeper(found) for found in error.errors(include_url=False)):
                raise
            told = {"allowed": self.allowed, "kind": self.kind}
            raise PydanticCustomError("setting", "{allowed}", told) from None
        # A number stays as it was written: 1 does not become 1.0 in names and records.
        return value if self.kind == "number" else made


def _deeper(found: Mapping) -> bool:
    """Return whether an error is one of a part, and not of a list that lacks parts."""
    return bool(found["loc"]) and not (found["type"] == "missing" and type(found["loc"][-1]) is int)


def whole(least: int, of: str = "") -> Any:
    """Return the type of whole numbers from ``least``; true and 6.0 are none."""
    says = Says(f"a whole number{of} from {least}", "whole")
    return Annotated[int, Field(strict=True, ge=least), says]


def whole_or_null(least: int, null: str) -> Any:
    """Return the type of whole numbers from ``least`` or null, and say what null means."""
    says = Says(f"a whole number from {least}, or null {null}", "whole")
    return Annotated[whole(least) | None, says]


def whole_or_word(least: int, word: str, of: str = "") -> Any:
    """Return the type of whole numbers from ``least``, or one word in their place."""

    def check(value: Any) -> int | str:
        if value == word or (type(value) is int and value >= least):
            return value
        raise ValueError

    # One check for both, where a union would tell two errors.
    either = PlainValidator(check, json_schema_input_type=Literal[word] | whole(least))
    return Annotated[int | str, either, Says(f"a whole number{of} from {least}, or {word}")]


def number(allowed: str, **limits: float) -> Any:
    """Return the type of finite numbers within limits (``ge``, ``gt``, ``le``, ``lt``)."""
    return Annotated[
        float, Field(strict=True, allow_inf_nan=False, **limits), Says(allowed, "number")
    ]


def number_or_null(allowed: str, **limits: float) -> Any:
    """Return the type of numbers or null; ``allowed`` says what null means."""
    return Annotated[number(allowed, **limits) | None, Says(allowed, "number")]


def text(allowed: str, pattern: str | None = None, least: int = 0) -> Any:
    r"""Return the type of texts that match a pattern as a whole.

    The pattern's ``$`` is the end of the text, not the place before a last line break: names
    become paths.
    """
    return Annotated[
        str, Field(strict=True, pattern=pattern, min_length=least), Says(allowed, "text")
    ]


def text_or_null(allowed: str, least: int = 0) -> Any:
    """Return the type of texts or null."""
    return Annotated[text(allowed, least=least) | None, Says(allowed, "text")]


def many(item: Any, allowed: str, least: int = 0, most: int | None = None) -> Any:
    """Return the type of lists of different items."""
    limits = Field(
        strict=True, min_length=least, max_length=most, json_schema_extra={"uniqueItems": True}
    )
    return Annotated[list[item], limits, AfterValidator(_different), Says(allowed)]


def mapping(key: Any, value: Any, allowed: str = "a mapping", least: int = 0) -> Any:
    """Return the type of mappings with at least so many keys."""
    return Annotated[dict[key, value], Field(min_length=least), Says(allowed)]


def by_kind(*members: type, default: str = "") -> Any:
    """Return the type of mappings whose ``kind`` decides which class they are.

    Args:
        default: the kind of a mapping that names none; without it the kind must be named.
    """
    tagged = tuple(Annotated[one, Tag(f"<{_kind(one)}>")] for one in members)

    def tag(value: Any) -> str:
        kind = value.get("kind", default) if isinstance(value, Mapping) else ""
        return f"<{kind}>"

    return Annotated[Union[tagged], Discriminator(tag)]  # noqa: UP007


def absent() -> Any:
    """Return the default of a key that may be left out, and then is not there."""
    return Field(default_factory=lambda: ABSENT)


def _kind(model: type) -> str:
    return typing.get_args(fields_of(model)["kind"].annotation)[0]


def _different(values: list) -> list:
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError
    return values


Count = whole(0)
Positive = whole(1)
Megabytes = whole(500, " of megabytes")
Flag = Annotated[bool, Field(strict=True), Says("true or false")]
Text = text("a text")
FromZero = number("a number from 0", ge=0)
AboveZero = number("a number above 0", gt=0)
ZeroToOne = number("a number from 0 to 1", ge=0, le=1)
Inside = number("a number between 0 and 1", gt=0, lt=1)
Share = number("a share, from 0 to less than 1", ge=0, lt=1)
