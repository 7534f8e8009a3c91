"""Devices: which are visible, which is chosen, which was used."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from headrank.errors import HeadRankError, HostFault

if TYPE_CHECKING:
    import torch

VISIBLE = "CUDA_VISIBLE_DEVICES"
logger = logging.getLogger(__name__)


class OutOfMemory(HostFault):
    """A GPU has not the memory for what was asked; less at once may fit."""


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
        OutOfMemory: out of memory.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        # torch says what it tried to take, what the card has and what is free, then much else.
        told = re.match(r".*? is free\b|[^\n]*", str(error), re.DOTALL).group().strip()
        raise OutOfMemory(f"{what} does not fit the GPU's memory ({told}); {remedy}") from None


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


def used_gpu(device: torch.device) -> dict[str, str] | None:
    """Return name and driver version of a GPU; None for another device.

    The name is torch's own, because numbers of devices differ between tools; the driver is one
    for all devices of a machine, ``unknown`` without nvidia-smi.
    """
    if device.type != "cuda":
        return None
    import torch

    driver = next((gpu["driver"] for gpu in gpus()), "unknown")
    return {"name": torch.cuda.get_device_name(device), "driver": driver}
