"""What a changed config replaces: results of the same names that another config made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrank.errors import HeadRankError
from headrank.io.files import read_json

# What decides the content of files; the rest decides which of them are asked for, or how they look.
NAMED = ("models", "encoders", "collections", "sets", "selections", "alignments", "methods")
COMMON = ("seed", "candidates", "first_stage", "prompt", "profiling")
SHOWN = 5


def replaced(manifest: str | os.PathLike, config: Mapping) -> str | None:
    """Return which settings differ from those that a folder's results were made with, if any do.

    Paths are made of the config's names, so a name that means something else now leads to the
    same files: Snakemake makes them anew, and what they held is gone. Names that stand in one of
    the configs alone replace nothing.

    Args:
        manifest: the results' manifest; it may be missing.
        config: complete, with its defaults filled in.

    Raises:
        HeadRankError: the manifest is damaged.
    """
    if not Path(manifest).is_file():
        return None
    try:
        before = read_json(manifest)["config"]
        before = {part: before[part] for part in (*NAMED, *COMMON)}
    except (HeadRankError, KeyError, TypeError):
        raise HeadRankError(
            f"{manifest}: not a manifest of this version; delete it, the next run writes it anew"
        ) from None
    found = differences(before, config)
    if not found:
        return None
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return (
        f"{manifest} notes another config: {', '.join(found[:SHOWN])}{more}. What these "
        "decide is made anew and replaces the earlier results; to keep both, give one of the "
        "configs a folder of its own (pathvars: {results: ...})"
    )


def differences(before: Mapping, now: Mapping) -> list[str]:
    """Return ``path: before -> now`` of what two configs give the same name and other content.

    Args:
        before, now: complete, with their defaults filled in.
    """
    named = [
        change
        for part in NAMED
        for name in before[part].keys() & now[part].keys()
        for change in _changes(f"{part}.{name}", before[part][name], now[part][name])
    ]
    common = [change for part in COMMON for change in _changes(part, before[part], now[part])]
    return sorted(named + common)


def _changes(path: str, before: Any, now: Any) -> Iterator[str]:
    """Yield ``path: before -> now`` of each value that differs; an absent one is None."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in before.keys() | now.keys():
            yield from _changes(f"{path}.{key}", before.get(key), now.get(key))
    elif before != now:
        yield f"{path}: {_short(before)} -> {_short(now)}"


def _short(value: Any, limit: int = 40) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
