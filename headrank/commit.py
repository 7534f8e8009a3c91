"""Which code made a file: version, commit and a digest of the modules behind it."""

from __future__ import annotations

import os
import subprocess

import headrank

COMMIT = "HEADRANK_COMMIT"


def source(repository: str | os.PathLike, code: str) -> dict[str, object]:
    """Return the code that makes a file: HeadRank's version, its commit and a digest.

    Args:
        repository: folder of the code.
        code: digest of the modules that decide the file's numbers. Of two files of one digest the
            commits may differ, as when text was changed in between.
    """
    return {"headrank": headrank.__version__, "code": code, "git": git_state(repository)}


def git_state(repository: str | os.PathLike) -> dict | None:
    """Return ``{commit, dirty}`` of a checkout; None if neither git nor the environment knows.

    An image holds no history, so whoever builds it names the commit in ``HEADRANK_COMMIT``, as
    ``git describe --always --abbrev=40 --dirty`` prints it.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", os.fspath(repository), *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        named = os.environ.get(COMMIT, "").strip()
        commit = named.removesuffix("-dirty")
        return {"commit": commit, "dirty": commit != named} if commit else None
