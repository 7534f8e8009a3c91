"""Collections built from archives that were not made as test collections of our layout."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from headrank.collections.builders import insuranceqa, lee, semanlink
from headrank.collections.collection import save_collection
from headrank.collections.parts import Parts
from headrank.errors import HeadRankError
from headrank.io.files import check_sha256

BUILDERS: dict[str, Callable[[Path], Parts]] = {
    "insuranceqa": insuranceqa.build,
    "lee": lee.build,
    "semanlink": semanlink.build,
}


def build_collection(
    builder: str,
    archive: str | os.PathLike,
    target: str | os.PathLike,
    sha256: str | None = None,
) -> dict:
    """Write the collection that a builder makes of an archive; return its counts.

    Args:
        builder: one of `BUILDERS`.
        archive: the fetched file.
        target: may be absent or empty, or a collection that was written there.
        sha256: the archive's pinned hash, checked again before it is read.

    Raises:
        HeadRankError: an unknown builder, a changed archive, or contents that are not
            those the builder was written for.
    """
    if builder not in BUILDERS:
        raise HeadRankError(f"builder {builder!r} is unknown; allowed: {', '.join(BUILDERS)}")
    archive = Path(archive)
    if sha256 is not None and archive.is_file():
        check_sha256(archive, sha256, "the archive was changed; remove it and fetch it again")
    parts = BUILDERS[builder](archive)
    made = {"kind": "builder", "builder": builder, "archive": archive.name}
    return save_collection(target, replace(parts, description=made | {**parts.description}))
