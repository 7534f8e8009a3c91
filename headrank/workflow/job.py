"""One job of the workflow: its log, and the one GPU that it claims."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from headrank.errors import HeadRankError, visible
from headrank.io.progress import told_besides
from headrank.models.devices import VISIBLE, visible_devices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType


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


RESUMED = ".resumed"
"""Ending of the mark beside the checkpoint of a job that went on behind it."""


@contextlib.contextmanager
def noted_resume(checkpoint: str | None) -> Iterator[None]:
    """Note whether the block's job began with a checkpoint of a killed one.

    Snakemake times the last attempt alone, so the benchmark of such a job holds a part of its time.
    """
    begun = checkpoint is not None and any(path.is_file() for path in Path(checkpoint).rglob("*"))
    yield
    if checkpoint is None:
        return
    mark = Path(f"{checkpoint}{RESUMED}")
    if begun:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    else:
        mark.unlink(missing_ok=True)


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


SECONDS = 2.0  # between two looks for a device that became free


@contextlib.contextmanager
def one_gpu(
    device: str,
    *,
    folder: str | os.PathLike | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[str | None]:
    """Keep one GPU to this process while the block lasts; yield its name, None on the CPU.

    The devices are those of ``CUDA_VISIBLE_DEVICES``, which SLURM sets to what it granted, or
    else all that nvidia-smi lists. The variable names the claimed one alone from then on, for
    this process and those it starts: CUDA reads it when it is first used.

    Args:
        device: of the model. ``auto`` claims a GPU where one is visible; anything else but
            ``cuda`` claims nothing.
        folder: of the lock files; None means one in the folder for temporary files, which all
            processes of this user on this machine share.
        wait: called with seconds while every device is taken.

    Raises:
        HeadRankError: there is no GPU, or CUDA was used before in this process.
    """
    torch = sys.modules.get("torch")
    if device != "cuda" and not (device == "auto" and _usable(torch)):
        yield None
        return
    if torch is not None and torch.cuda.is_initialized():
        raise HeadRankError(
            "CUDA was used before a GPU was claimed, so the claim would come too late; claim "
            "first, then load models"
        )
    names = visible_devices()
    locks = _lock_folder(folder)
    taken, handle = _claim(names, locks, wait)
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = taken
    logger.info("GPU %s of %s", taken, ", ".join(names))
    try:
        yield taken
    finally:
        os.close(handle)
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before


def _usable(torch: ModuleType | None) -> bool:
    """Return whether there is a GPU to claim: one is visible, and torch was built for it."""
    if torch is not None and torch.version.cuda is None:
        return False
    try:
        return bool(visible_devices())
    except HeadRankError:
        return False


def _lock_folder(folder: str | os.PathLike | None) -> Path:
    """Return the folder of the locks, made if need be and this user's own.

    In a job of SLURM a number counts among the devices of that job alone, so each job has
    a folder of its own: two jobs on a machine may both call their GPU 0.
    """
    if folder is None:
        job = os.environ.get("SLURM_JOB_ID", "")
        scope = f"{os.getuid()}-{job}" if job.isdigit() else f"{os.getuid()}"
        folder = Path(tempfile.gettempdir()) / f"headrank-gpu-{scope}"
    path = Path(folder)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HeadRankError(
            f"{path}: the locks of GPUs cannot be kept there ({error.strerror}); set TMPDIR to a "
            "folder that you may write to"
        ) from None
    # Another user could have made it first, as a link to where this user writes.
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise HeadRankError(f"{path}: belongs to another user; set TMPDIR to a folder of your own")
    return path


def _claim(names: Sequence[str], folder: Path, wait: Callable[[float], object]) -> tuple[str, int]:
    """Return the first device that no process holds, and the open lock; wait for one."""
    told = False
    while True:
        for name in names:
            safe = "".join(c if c.isalnum() or c in "-." else "_" for c in name)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(folder / f"{safe}.lock", flags, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            return name, handle
        if not told:
            logger.warning(
                "every GPU is taken (%s): waiting; --resources gpu=%d bounds the jobs",
                ", ".join(names),
                len(names),
            )
            told = True
        wait(SECONDS)
