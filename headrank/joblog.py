"""The log of one job: messages, progress bars and errors in one file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from headrank.errors import HeadRankError, visible
from headrank.progress import told_besides

logger = logging.getLogger(__name__)
# What libraries warn of though it asks for nothing: layers are on one device on purpose.
QUIET = ("transformers.distributed.tensor_parallel",)


class _Visible(logging.Formatter):
    """Shows control characters as escapes: messages quote files, and logs are read in terminals."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text; its lines stay lines."""
        return visible(super().format(record), keep="\n\t")


def _our_warning(record: logging.LogRecord) -> bool:
    """Return whether a record is a warning of this package or of the script that runs."""
    ours = record.name == "__main__" or record.name.partition(".")[0] == "headrank"
    return ours and record.levelno == logging.WARNING


@contextlib.contextmanager
def job_log(path: str | os.PathLike) -> Iterator[None]:
    """Send the block's log messages and standard error to a file, line by line.

    On the former standard error are told besides, behind the log's path: progress of more than a
    minute, a line a minute, and our own warnings. Errors are not: whoever started the job shows
    the log of one that failed.

    An error of the user's (:class:`HeadRankError`) ends the process with its message
    alone; any other keeps its traceback.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr
    with (
        open(target, "w", encoding="utf-8", buffering=1) as file,
        contextlib.redirect_stderr(file),
        told_besides(terminal, path_name(target)),
        _moved(terminal, file),
    ):
        handler = logging.StreamHandler(file)
        handler.setFormatter(_Visible("%(asctime)s %(message)s"))
        warned = logging.StreamHandler(terminal)
        warned.setFormatter(_Visible(f"[{path_name(target)}] %(message)s"))
        warned.addFilter(_our_warning)
        logging.basicConfig(handlers=[handler, warned], level=logging.INFO, force=True)
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


def path_name(log: Path) -> str:
    """Return the log's path as it is told: relative to the working folder where it lies there."""
    with contextlib.suppress(ValueError):
        return log.resolve().relative_to(Path.cwd()).as_posix()
    return str(log)


@contextlib.contextmanager
def _moved(old: TextIO, new: TextIO) -> Iterator[None]:
    """Let libraries' own handlers, which took the stream when they were imported, write to another.

    Loggers that ask for nothing are silent meanwhile.
    """
    # What `logging` knows besides loggers are placeholders, which have no handlers.
    loggers = list(logging.root.manager.loggerDict.values())
    handlers = [h for entry in loggers for h in getattr(entry, "handlers", ())]
    taken = [h for h in handlers if getattr(h, "stream", None) is old]
    quiet = [logging.getLogger(name) for name in QUIET]
    levels = [entry.level for entry in quiet]
    for handler in taken:
        handler.setStream(new)
    for entry in quiet:
        entry.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for handler in taken:
            handler.setStream(old)
        for entry, level in zip(quiet, levels, strict=True):
            entry.setLevel(level)
