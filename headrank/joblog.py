"""The log of one job: messages, progress bars and errors in one file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from headrank.errors import HeadRankError, visible

logger = logging.getLogger(__name__)


class _Visible(logging.Formatter):
    """Shows control characters as escapes: messages quote files, and logs are read in terminals."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text; its lines stay lines."""
        return visible(super().format(record), keep="\n\t")


@contextlib.contextmanager
def job_log(path: str | os.PathLike) -> Iterator[None]:
    """Send the block's log messages and standard error to a file, line by line.

    An error of the user's (:class:`HeadRankError`) ends the process with its message
    alone; any other keeps its traceback.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        open(target, "w", encoding="utf-8", buffering=1) as file,
        contextlib.redirect_stderr(file),
    ):
        handler = logging.StreamHandler(file)
        handler.setFormatter(_Visible("%(asctime)s %(message)s"))
        logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
        try:
            yield
        except HeadRankError as error:
            logger.error("Error: %s", error)
            sys.exit(1)
        except Exception:
            logger.exception("Unexpected error")
            raise
        finally:
            # A handler must not outlive the file it writes to.
            logging.getLogger().handlers.clear()
