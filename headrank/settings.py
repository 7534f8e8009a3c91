"""What a setting may be: types that say in words what they allow, and classes made of them.

One definition serves all: the type, the default, the range and the sentence of a key stand at
the field of a class. The workflow's config is checked against these classes, the JSON schema
and the tables of ``config/README.md`` are written from them, and the library's own options are
some of them. Errors read ``key is value; allowed: ...`` everywhere.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from headrank.errors import HeadRankError

Rules = Iterator[tuple[str, str]]
"""What a class refuses beyond its fields' types: ``(key, "is 3; allowed: ...")``."""

_NUMBER = re.compile(r"[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,3})?")

ABSENT = object()
"""The value of a key that may be left out and has no default."""

CONFIG = ConfigDict(extra="forbid", use_attribute_docstrings=True)


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
        if hasattr(cls, "rules"):
            cls.__post_init__ = _refuse
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


def fields_of(model: type) -> Mapping[str, Any]:
    """Return ``{key: pydantic's field}`` of a class of settings."""
    if issubclass(model, BaseModel):
        return model.model_fields
    return model.__pydantic_fields__


def sentence_of(model: type, key: str) -> str:
    """Return what a key means, on one line; a class that is made of another has its sentences."""
    for base in model.__mro__:
        if is_settings(base) and key in fields_of(base) and fields_of(base)[key].description:
            return " ".join(fields_of(base)[key].description.split())
    return ""


def type_of(model: type, key: str) -> Any:
    """Return the type of a key of a class of settings, with its annotations."""
    found = fields_of(model)[key]
    return Annotated[(found.annotation, *found.metadata)] if found.metadata else found.annotation


def is_settings(kind: Any) -> bool:
    """Return whether a type is a class of settings."""
    return isinstance(kind, type) and (
        issubclass(kind, BaseModel) or hasattr(kind, "__pydantic_fields__")
    )


def bare(kind: Any) -> tuple[Any, list]:
    """Return a type without null and annotations, and the annotations, the outermost last."""
    notes: list = []
    while True:
        origin = typing.get_origin(kind)
        if origin is Annotated:
            kind, *own = typing.get_args(kind)
            notes = own + notes
        elif origin in (Union, types.UnionType) and type(None) in typing.get_args(kind):
            kind = next(one for one in typing.get_args(kind) if one is not type(None))
        else:
            return kind, notes


def members(kind: Any) -> dict[str, type]:
    """Return ``{tag: class}`` of a type that ``kind`` decides; empty for others."""
    if typing.get_origin(kind) not in (Union, types.UnionType):
        return {}
    found = {}
    for one in typing.get_args(kind):
        model, notes = bare(one)
        found |= {note.tag: model for note in notes if isinstance(note, Tag)}
    return found


def _inside(kind: Any, part: Any) -> Any:
    """Return the type at one step of a path; None if it is unknown."""
    kind, _ = bare(kind)
    if is_settings(kind):
        return type_of(kind, part) if part in fields_of(kind) else None
    if known := members(kind):
        return known.get(part)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is dict:
        return arguments[1]
    return arguments[0] if typing.get_origin(kind) in (list, tuple) else None


def choices_of(kind: Any) -> tuple[str, ...]:
    """Return the values of a type that lists them; empty for others."""
    kind, _ = bare(kind)
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)
    return tuple(tag.strip("<>") for tag in members(kind))


def explain(error: ValidationError, model: Any, place: str = "") -> list[str]:
    """Return pydantic's errors in plain words, each with key, value and what is allowed.

    Args:
        model: the type that was checked against.
        place: the path to it.
    """
    return [_explain(found, model, place) for found in error.errors(include_url=False)]


def _explain(found: Mapping, model: Any, place: str) -> str:
    kind, steps = model, [place] if place else []
    *before, last = found["loc"] or (None,)
    for part in before:
        kind = _inside(kind, part)
        if not str(part).startswith("<"):
            steps.append(str(part))
    above = ".".join(steps) or "config"
    value, rule, told = found["input"], found["type"], found.get("ctx", {})
    if last is not None and not str(last).startswith("<"):
        steps.append(str(last))
    path = ".".join(steps) or "config"
    if rule == "rule":
        return f"{path} {told['text']}"
    if last == "[key]":
        return (
            f"{'.'.join(steps[:-2]) or 'config'} has the key {shown(value)}; allowed: "
            + (told.get("allowed") or "a text")
            + _how(value, "text")
        )
    if rule == "invalid_key":
        return f"{above} has the key {last!r}; allowed: a text (put it in quotes)"
    if rule.startswith("missing"):
        choices = choices_of(_inside(kind, last))
        return f"{path} is missing" + (f"; allowed: {', '.join(choices)}" if choices else "")
    if rule in ("extra_forbidden", "unexpected_keyword_argument"):
        known = sorted(fields_of(bare(kind)[0]), key=lambda name: name != "kind")
        return f"{path} is not a key; allowed: {', '.join(known)}" + hint(last, known)
    if rule == "union_tag_invalid":
        if not isinstance(value, Mapping):
            return f"{path} is {shown(value)}; allowed: a mapping"
        names = [name.strip("<>") for name in re.findall(r"'([^']*)'", told["expected_tags"])]
        if "kind" not in value:
            return f"{path}.kind is missing; allowed: {', '.join(names)}"
        return choice(f"{path}.kind", value["kind"], names)
    if rule == "literal_error":
        return choice(path, value, re.findall(r"'([^']*)'", told["expected"]))
    if rule == "setting":
        return f"{path} is {shown(value)}; allowed: {told['allowed']}{_how(value, told['kind'])}"
    if rule.endswith(("model_type", "dict_type", "dataclass_type", "model_attributes_type")):
        return f"{path} is {shown(value)}; allowed: a mapping"
    return f"{path} is {shown(value)}; allowed: {found['msg']}"


def _how(value: Any, kind: str) -> str:
    """Return how a value is written that YAML or JSON has read as something else."""
    if kind == "text" and not isinstance(value, (str, Mapping, list, type(None))):
        # Of true and false it is not known how they were written.
        quoted = "" if isinstance(value, bool) else f": '{value}'"
        return f" (put it in quotes{quoted})"
    if kind == "whole" and isinstance(value, float) and value.is_integer():
        return f" (write {value:.0f})"
    if kind == "number" and isinstance(value, float) and not math.isfinite(value):
        return " (it must be finite)"
    if kind in ("whole", "number") and isinstance(value, str) and _NUMBER.fullmatch(value):
        return f" (this is a text: write {Decimal(value):f}, without quotes)"
    return ""


def shown(value: Any) -> str:
    """Return a value as a config writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def choice(path: str, value: Any, allowed: Iterable[Any]) -> str:
    """Return the message for a value that is none of the allowed ones, with a suggestion."""
    names = [str(name) for name in allowed]
    how = _how(value, "text")
    return (
        f"{path} is {shown(value)}; allowed: {', '.join(names) or 'none is declared'}"
        f"{how or hint(value, names)}"
    )


def hint(value: Any, names: Iterable[str]) -> str:
    """Return `` (did you mean ...?)`` if one of the names is close."""
    close = difflib.get_close_matches(str(value), list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


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
