"""The log of one job: messages, progress bars and errors in one file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from headrank.errors import HeadRankError

logger = logging.getLogger(__name__)


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
        logging.basicConfig(
            stream=file, level=logging.INFO, format="%(asctime)s %(message)s", force=True
        )
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
