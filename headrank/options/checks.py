"""Checks of what a user gives to the Python library, before anything is loaded.

Errors read as those of settings: key, value, what is allowed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral
from typing import Any, TypeVar

from headrank.errors import HeadRankError

Made = TypeVar("Made")


def check_whole(key: str, value: object, least: int, other: str = "") -> int:
    """Return a whole number, numpy's too, as Python's own.

    Args:
        other: what else is allowed, in words; the caller has looked for it.

    Raises:
        HeadRankError: something else, or a number below ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise HeadRankError(
            f"{key} is {value!r}; allowed: a whole number from {least}{other and ', or '}{other}"
        )
    return int(value)


def check_path(key: str, value: object, other: str = "") -> None:
    """Refuse what is no path.

    Raises:
        HeadRankError: names what is allowed.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise HeadRankError(f"{key} is {value!r:.80}; allowed: a path{other and ', or '}{other}")


def check_mapping(key: str, value: object, kind: type) -> Mapping[str, Any]:
    """Return a mapping of fields of a class of options; the class refuses unknown ones.

    Raises:
        HeadRankError: something else, or keys that are no texts.
    """
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise HeadRankError(
            f"{key} is {value!r:.80}; allowed: {kind.__name__}, or a mapping of its fields"
        )
    return value


def made_of(key: str, value: object, kind: type[Made]) -> Made:
    """Return an object of a class of options: as it is, or made of a mapping of its fields.

    Raises:
        HeadRankError: something else, or fields that the class refuses.
    """
    return value if isinstance(value, kind) else kind(**check_mapping(key, value, kind))
