"""The configuration's form: defaults and errors of a JSON Schema, told in plain words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def fill(value: Any, schema: Mapping, root: Mapping) -> None:
    """Add the schema's defaults to a config in place, nested ones too."""
    if "$ref" in schema:
        fill(value, _resolve(schema["$ref"], root), root)
    if isinstance(value, dict):
        for key, part in schema.get("properties", {}).items():
            if "default" in part and key not in value:
                value[key] = deepcopy(part["default"])
            if key in value:
                fill(value[key], part, root)
        others = schema.get("additionalProperties")
        if isinstance(others, Mapping):
            for key in value.keys() - schema.get("properties", {}).keys():
                fill(value[key], others, root)
        for branch in schema.get("allOf", ()):
            if _applies(branch["if"], value):
                fill(value, branch["then"], root)


def _applies(condition: Mapping, value: Mapping) -> bool:
    """Return whether a branch of the schema is meant for this ``kind``."""
    kind = condition["properties"]["kind"]
    return value.get("kind") in kind.get("enum", [kind.get("const")])


def _resolve(reference: str, root: Mapping) -> Mapping:
    part: Any = root
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


def schema_problems(config: Mapping, schema: Mapping) -> Iterator[str]:
    """Yield what the JSON Schema refuses, each with key, value and what is allowed."""
    import jsonschema

    validator = jsonschema.validators.extend(
        jsonschema.Draft202012Validator, {"pattern": _pattern_errors}
    )
    for error in sorted(
        validator(schema).iter_errors(config),
        key=lambda error: [str(part) for part in error.absolute_path],
    ):
        yield from _explain(error)


def _pattern_errors(_: Any, pattern: str, value: Any, __: Mapping) -> Iterator[Any]:
    r"""Yield an error for a text that a pattern refuses.

    A schema's ``$`` is the end of the text. Python's is also the place before a last line break,
    so ``name\n`` would pass for a name, and names become paths.
    """
    import jsonschema

    strict = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    if isinstance(value, str) and not re.search(strict, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _explain(error: Any) -> Iterator[str]:
    """Yield the message of one jsonschema error."""
    path = ".".join(str(part) for part in error.absolute_path)
    rule, value = error.validator, error.instance
    allowed = error.schema.get("description")
    if rule == "additionalProperties":
        known = [key for key in error.schema["properties"]]
        for key in value:
            if key not in known:
                yield _unknown(f"{path}.{key}".lstrip("."), key, known)
    elif rule == "required":
        for key in error.validator_value:
            if key not in value:
                yield f"{path}.{key} is missing".lstrip(".") + _values(key, error.schema)
        return
    elif rule in ("enum", "const"):
        choices = error.validator_value if rule == "enum" else [error.validator_value]
        yield choice(path, value, choices)
    elif "propertyNames" in error.absolute_schema_path:
        yield f"{path or 'config'} has the key {value!r}; allowed: {allowed}"
    elif rule == "type":
        types = error.validator_value
        names = " or ".join(_TYPES[name] for name in ([types] if isinstance(types, str) else types))
        yield f"{path or 'config'} is {value!r}; allowed: {allowed or names}"
    else:
        yield f"{path} is {value!r}; allowed: {allowed or error.message}"


def _values(key: str, schema: Mapping) -> str:
    """Return the choices of a key that is missing, if they are few."""
    choices = schema.get("properties", {}).get(key, {}).get("enum")
    return f"; allowed: {', '.join(choices)}" if choices else ""


def choice(path: str, value: Any, allowed: Iterable[Any]) -> str:
    """Return the message for a value that is none of the allowed ones, with a suggestion."""
    names = [str(name) for name in allowed]
    return f"{path} is {value!r}; allowed: {', '.join(names) or 'none is declared'}" + _hint(
        value, names
    )


def _unknown(path: str, key: str, known: list[str]) -> str:
    return f"{path} is not a key; allowed: {', '.join(known)}" + _hint(key, known)


def _hint(value: Any, names: list[str]) -> str:
    close = difflib.get_close_matches(str(value), names, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
