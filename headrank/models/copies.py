"""Numbers on their way to a GPU and from it: neither waits for the work that is under way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def to_device(values: Sequence | np.ndarray, device: torch.device) -> torch.Tensor:
    """Return numbers as a tensor on a device.

    A GPU would first end all its work before it takes them from memory that is not page-locked.
    """
    found = torch.as_tensor(values)
    if device.type == "cuda":
        found = found.pin_memory()
    return found.to(device, non_blocking=True)


class HostCopy:
    """A copy of a tensor in the CPU's memory, begun and maybe not finished.

    A GPU copies into page-locked memory in the order of its work, so that nothing waits before
    :meth:`numpy` is asked. On the CPU there is nothing to copy.
    """

    def __init__(self, values: torch.Tensor) -> None:
        self._arrived: torch.cuda.Event | None = None
        self._values = values
        if values.is_cuda:
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record(torch.cuda.current_stream(values.device))

    def numpy(self) -> np.ndarray:
        """Return the values; wait for them if they are still on their way."""
        if self._arrived is None:
            return self._values.numpy()
        self._arrived.synchronize()
        # Page-locked memory is scarce: what is kept for long must not be in it.
        return self._values.numpy().copy()
