"""One process a GPU: a job claims a device of its machine before torch sees any.

Snakemake counts GPUs but names none, and every process would take the first. A claim is a
lock on a file a device, which the kernel lifts when the process ends, however it ends: a
killed job leaves no stale lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from headrank.errors import HeadRankError

VISIBLE = "CUDA_VISIBLE_DEVICES"
SECONDS = 2.0  # between two looks for a device that became free
logger = logging.getLogger(__name__)


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


def choose_device(device: str) -> str:
    """Return what ``auto`` stands for here: ``cuda`` where torch sees a GPU, else ``cpu``.

    Any other device is returned as it is. The choice is logged. To be called inside of
    `one_gpu`: torch looks at the devices when it is first asked.
    """
    if device != "auto":
        return device
    import torch

    chosen = "cuda" if torch.cuda.is_available() else "cpu"
    logger.info("device auto: %s", "a GPU" if chosen == "cuda" else "no GPU is visible, the CPU")
    return chosen


def on_device(weights: Mapping[str, str]) -> dict[str, str]:
    """Return how weights are loaded, with the device that `choose_device` gives."""
    return {**weights, "device": choose_device(weights["device"])}


@contextlib.contextmanager
def fits(what: str, remedy: str) -> Iterator[None]:
    """Turn a GPU's lack of memory inside the block into an error that says what to change.

    Args:
        what: is being done, as the subject of "does not fit".

    Raises:
        HeadRankError: out of memory.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        # torch says what it tried to take, what the card has and what is free, then much else.
        told = re.match(r".*? is free\b|[^\n]*", str(error), re.DOTALL).group().strip()
        raise HeadRankError(f"{what} does not fit the GPU's memory ({told}); {remedy}") from None


def _usable(torch: ModuleType | None) -> bool:
    """Return whether there is a GPU to claim: one is visible, and torch was built for it."""
    if torch is not None and torch.version.cuda is None:
        return False
    try:
        return bool(visible_devices())
    except HeadRankError:
        return False


def visible_devices() -> list[str]:
    """Return the devices that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them.

    Raises:
        HeadRankError: there is none, or none can be listed.
    """
    given = os.environ.get(VISIBLE)
    if given is None:
        names = [gpu["uuid"] for gpu in gpus()]
        problem = "nvidia-smi is missing or lists none"
    else:
        names = []
        # As CUDA reads it: what stands behind an entry that is no device is not seen.
        for name in (entry.strip() for entry in given.split(",")):
            if not name or name.startswith("-"):
                break
            names.append(name)
        problem = f"{VISIBLE} is {given!r}"
    if not names:
        raise HeadRankError(
            f"device 'cuda': no GPU is visible ({problem}); run on a machine with one, name it in "
            f"{VISIBLE}, or set the model's device to cpu"
        )
    return list(dict.fromkeys(names))


def gpus() -> list[dict[str, str]]:
    """Return ``{uuid, name, driver}`` of each GPU of the machine; empty without nvidia-smi."""
    query = ("nvidia-smi", "--query-gpu=uuid,name,driver_version", "--format=csv,noheader")
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in found.stdout.splitlines()]
    keys = ("uuid", "name", "driver")
    return [dict(zip(keys, row, strict=True)) for row in rows if len(row) == len(keys)]


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
