"""Errors of settings in plain words: key, value, what is allowed, what was perhaps meant."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from headrank.errors import visible
from headrank.settings.fields import bare, choices_of, fields_of, inside

_NUMBER = re.compile(r"[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,3})?")


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
        kind = inside(kind, part)
        if not str(part).startswith("<"):
            steps.append(visible(str(part)))
    above = ".".join(steps) or "config"
    value, rule, told = found["input"], found["type"], found.get("ctx", {})
    if last is not None and not str(last).startswith("<"):
        steps.append(visible(str(last)))
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
        choices = choices_of(inside(kind, last))
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
