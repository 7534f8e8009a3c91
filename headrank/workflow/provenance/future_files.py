"""Files of the future: where a clock ran ahead, a workflow takes old results for new ones."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from headrank.errors import HeadRankError
from headrank.io.files import utc

# Clocks of a cluster's machines may differ by this much (seconds).
TOLERANCE = 600


def check_clock(
    folders: Iterable[str | os.PathLike], now: float | None = None, tolerance: float = TOLERANCE
) -> None:
    """Refuse files that were last changed in the future.

    A workflow that compares times would call such a file finished, even after what it is made
    from has changed: an old number would stand in a new table.

    Args:
        folders: searched to their depths; those that are not there are left out. Links to
            folders are not followed.
        now: seconds since the epoch; None asks the clock.

    Raises:
        HeadRankError: names the first such file, how many there are, and the remedy.
    """
    now = time.time() if now is None else now
    found = sorted(path for folder in folders for path in _after(folder, now + tolerance))
    if found:
        first = found[0]
        raise HeadRankError(
            f"{first}: last changed in the future ({utc(Path(first).stat().st_mtime)}, the clock "
            f"says {utc(now)}), and {len(found) - 1} files more; correct the clock, or delete it "
            "if what it is made from has changed since, else `touch` it"
        )


def _after(folder: str | os.PathLike, limit: float) -> Iterator[str]:
    """Yield the files of a folder whose time of last change lies behind the limit."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            # A job of another run may take its file away meanwhile.
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_mtime > limit:
                    yield path
