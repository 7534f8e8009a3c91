"""Caches of libraries, kept where the experiment is and not in a user's home."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path


def keep_caches_here(environment: MutableMapping[str, str], folder: str | os.PathLike) -> None:
    """Name folders of this experiment for caches of which nothing is said and nothing is there.

    matplotlib's also keeps a user's own style from the figures. ir_datasets' is taken over if the
    user has one: it holds gigabytes that need no second download. The hub's stays where it is: a
    token for gated models lies there.

    Args:
        environment: changed in place; jobs inherit it.
        folder: the experiment's.
    """
    root = Path(folder).absolute()
    environment.setdefault("MPLCONFIGDIR", str(root / ".snakemake/matplotlib"))
    if not Path(environment.get("HOME", "/"), ".ir_datasets").is_dir():
        environment.setdefault("IR_DATASETS_HOME", str(root / "resources/ir_datasets"))
