"""Errors of a config that have one cause are told once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from headrank.settings.words import choice, hint, shown

_SHOWN = 4


class Unknown(str):
    """The message for a name that a part of the config does not hold.

    Attributes:
        path: the key that names it.
        value: the name.
        where: the part that should hold it.
        allowed: what it holds.
    """

    path: str
    value: Any
    where: str
    allowed: list[str]

    def __new__(cls, path: str, value: Any, allowed: Iterable[str], where: str) -> Unknown:
        allowed = list(allowed)
        made = super().__new__(cls, choice(path, value, allowed))
        made.path, made.value, made.where, made.allowed = path, value, where, allowed
        return made


def told(found: Iterable[str]) -> list[str]:
    """Return errors in their order, those of one cause joined.

    A name that is missing in one part of the config can be named by many others, and a list
    that a second config file replaces can lack many names at once.
    """
    groups: dict[tuple, list[str]] = {}
    for error in found:
        cause = (error.where, tuple(error.allowed)) if isinstance(error, Unknown) else (error,)
        groups.setdefault(cause, []).append(error)
    lines = []
    for group in groups.values():
        lines += group[:1] if not isinstance(group[0], Unknown) else _joined(group)
    return lines


def _joined(group: list[Unknown]) -> list[str]:
    """Return the lines of names that one part of the config does not hold."""
    paths: dict[Any, list[str]] = {}
    for error in group:
        paths.setdefault(error.value, []).append(error.path)
    first = {error.value: error for error in reversed(group)}
    if len(paths) <= 2:
        return [
            first[value] + (f"; so is {_listed(others)}" if others else "")
            for value, (_, *others) in paths.items()
        ]
    # Two may be two typing errors, each with the name that was meant; more have one cause.
    names = [f"{shown(value)}{hint(value, group[0].allowed)}" for value in paths]
    named = list(dict.fromkeys(error.path for error in group))
    where, allowed = group[0].where, ", ".join(group[0].allowed) or "nothing"
    return [
        f"{where} holds only {allowed}; {_listed(named)} also name {', '.join(names)} (add them to "
        f"{where}, or leave them out there: an inherited ablation by NAME: null)"
    ]


def _listed(paths: list[str]) -> str:
    """Return some keys; items of one list are named by it."""
    paths = list(dict.fromkeys(re.sub(r"[.][0-9]+$", "", path) for path in paths))
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more
