"""Looking into classes of settings: their keys, and the types of these."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import BaseModel, Tag

ABSENT = object()
"""The value of a key that may be left out and has no default."""


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


def inside(kind: Any, part: Any) -> Any:
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
