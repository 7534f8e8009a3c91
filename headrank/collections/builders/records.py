"""The JSON records of a source's archive, read with a clear error for another version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from headrank.errors import HeadRankError, kind_of, with_article


def parse_json(data: bytes, member: str, archive: Path, kind: type) -> list | dict:
    """Return the JSON value of an archive's member.

    Raises:
        HeadRankError: the bytes are not JSON, or the value is not of the kind expected.
    """
    try:
        value = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise HeadRankError(f"{archive}: {member} is not JSON ({error}); fetch it again") from None
    if not isinstance(value, kind):
        raise HeadRankError(
            f"{archive}: {member} holds {kind_of(value)}, expected "
            f"{with_article(kind.__name__)}; is it another version of the package?"
        )
    return value


def take(record: Mapping, name: str, where: str) -> object:
    """Return a field of a source's record; a missing one names the record."""
    if not isinstance(record, Mapping) or name not in record:
        raise HeadRankError(
            f"{where}: the field {name!r} is missing; is it another version of the package?"
        )
    return record[name]
