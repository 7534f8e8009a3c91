"""How a model's weights are loaded: the keywords that every function which loads one takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, is_typeddict

from headrank.errors import HeadRankError
from headrank.settings.words import hint


class LoadOptions(TypedDict, total=False):
    """Where, in which type and at which commit weights are loaded.

    Keys:
        dtype: ``float32`` or ``bfloat16``; None or left out: the one that the heads were selected
            in, else float32.
        device: ``cpu`` (the default), ``cuda``, ``cuda:1``, ... or ``auto``.
        revision: the hub's commit, for a repository.
    """

    dtype: str | None
    device: str
    revision: str | None


def check_keywords(given: Mapping[str, object], known: type, function: str) -> None:
    """Refuse keywords that a function does not have.

    Args:
        known: the typed dictionary of those that it has.

    Raises:
        HeadRankError: one is unknown; the message names a close one.
    """
    assert is_typeddict(known)
    for name in given:
        if name not in known.__annotations__:
            raise HeadRankError(
                f"{function} has no option {name!r}; allowed: {', '.join(known.__annotations__)}"
                + hint(name, known.__annotations__)
            )
