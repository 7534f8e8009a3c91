"""Classes of settings: mappings of the config, and the library's options."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic_core import InitErrorDetails, PydanticCustomError

from headrank.errors import HeadRankError
from headrank.settings.fields import ABSENT, fields_of, is_settings
from headrank.settings.words import explain

Rules = Iterator[tuple[str, str]]
"""What a class refuses beyond its fields' types: ``(key, "is 3; allowed: ...")``."""

CONFIG = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Settings(BaseModel):
    """A mapping of the config; what ``rules`` yields is refused."""

    model_config = CONFIG | {"frozen": True}

    def rules(self) -> Rules:
        """Yield what is wrong between the keys."""
        yield from ()

    @model_validator(mode="after")
    def _keep_rules(self) -> Settings:
        _refuse(self)
        return self


@typing.dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def options(place: str, keywords: bool = False) -> Callable[[type], type]:
    """Return a decorator: a frozen dataclass whose values are checked when it is made.

    Args:
        place: stands before the key in errors, as in ``prompt.rows``.
        keywords: the class's own fields are named, never given by place.
    """

    def decorate(cls: type) -> type:
        settle = cls.__dict__.get("__post_init__")

        def __post_init__(self: Any) -> None:
            if settle is not None:
                settle(self)
            _refuse(self)

        if hasattr(cls, "rules"):
            cls.__post_init__ = __post_init__
        made = checked_dataclass(frozen=True, kw_only=keywords, config=CONFIG)(cls)
        build = made.__init__

        @functools.wraps(build)
        def __init__(self: Any, *values: Any, **named: Any) -> None:
            names = [field.name for field in dataclasses.fields(self)]
            if len(values) <= len(names) and not named.keys() & set(names[: len(values)]):
                values, named = (), dict(zip(names, values, strict=False)) | named
            try:
                build(self, *values, **named)
            except ValidationError as error:
                raise HeadRankError("; ".join(explain(error, made, place))) from None

        made.__init__ = __init__
        return made

    return decorate


def _refuse(made: Any) -> None:
    """Raise what the rules of a class find wrong with one of it."""
    found = [
        InitErrorDetails(
            type=PydanticCustomError("rule", "{text}", {"text": text}),
            loc=tuple(key.split(".")) if key else (),
            input=None,
        )
        for key, text in made.rules()
    ]
    if found:
        raise ValidationError.from_exception_data(type(made).__name__, found)


def fill(value: dict, made: Any) -> None:
    """Add the defaults of a checked class to the mapping that it was made from, in place.

    What the mapping says stays as it is written.
    """
    for name in fields_of(type(made)):
        own = getattr(made, name)
        if name not in value and own is not ABSENT:
            value[name] = plain(own)
        elif name in value:
            _fill(value[name], own)


def _fill(value: Any, made: Any) -> None:
    if is_settings(type(made)):
        fill(value, made)
    elif isinstance(made, dict):
        for name, part in made.items():
            _fill(value[name], part)
    elif isinstance(made, list):
        for one, part in zip(value, made, strict=True):
            _fill(one, part)


def plain(made: Any) -> Any:
    """Return a value as YAML holds it: settings become mappings, tuples lists."""
    if is_settings(type(made)):
        values = {name: getattr(made, name) for name in fields_of(type(made))}
        return {name: plain(value) for name, value in values.items() if value is not ABSENT}
    if isinstance(made, (list, tuple)):
        return [plain(one) for one in made]
    return {name: plain(one) for name, one in made.items()} if isinstance(made, dict) else made
