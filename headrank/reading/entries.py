"""One encoded document: its keys and values, plain or in 8 bits, and the file that holds it.

A file is a safetensors file, so it is mapped into memory and not read into it. A SHA-256 over
format, key, shapes, types and bytes stands in its header.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from headrank.errors import HostFault
from headrank.reading.store_card import FORMAT

_MAPPED = 1 << 16  # bytes from which a file stays mapped; the system limits the number of maps
_NAMES = ("keys", "values", "key_scales", "value_scales")


@dataclass(frozen=True)
class Encoded:
    """What is kept of one document, or of the shared prefix.

    Attributes:
        keys: ``[layers, key heads, tokens, dim]``, behind rotary embedding.
        values: the same of one layer less: the deepest layer reads keys only.
        key_scales, value_scales: float32 ``[..., tokens, 1]`` that the numbers of 8 bits are
            multiplied by; None if keys and values are as the model computed them.
    """

    keys: torch.Tensor
    values: torch.Tensor
    key_scales: torch.Tensor | None = None
    value_scales: torch.Tensor | None = None

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors that are there, by name."""
        found = {name: getattr(self, name) for name in _NAMES}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    @property
    def bytes(self) -> int:
        """Return the memory that it takes."""
        return sum(one.numel() * one.element_size() for one in self.tensors.values())

    @property
    def tokens(self) -> int:
        """Return the tokens that are kept."""
        return self.keys.shape[2]

    def in_8_bits(self) -> Encoded:
        """Return the entry as whole numbers from -127 to 127 times a scale a token and key head."""
        keys, key_scales = _rounded(self.keys)
        values, value_scales = _rounded(self.values)
        return Encoded(keys, values, key_scales, value_scales)

    def write(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Write keys and values, in the model's own type, to tensors of the same shape."""
        if self.key_scales is None:
            keys.copy_(self.keys)
            values.copy_(self.values)
        else:
            torch.mul(self.keys, self.key_scales, out=keys)
            torch.mul(self.values, self.value_scales, out=values)

    def to(self, device: torch.device) -> Encoded:
        """Return the entry on a device."""
        return replace(self, **{name: one.to(device) for name, one in self.tensors.items()})


def _rounded(numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return int8 and float32 scales; the largest number of a token and head becomes 127."""
    exact = numbers.float()
    scales = exact.abs().amax(-1, keepdim=True).div_(127).clamp_min_(torch.finfo().tiny)
    return (exact / scales).round_().to(torch.int8), scales


def to_bytes(entry: Encoded, key: str) -> bytes:
    """Return the file of an entry."""
    tensors = {name: one.cpu().contiguous() for name, one in entry.tensors.items()}
    told = {"format": str(FORMAT), "sha256": _digest(tensors, key)}
    return save(tensors, told)


def read_entry(path: str | os.PathLike, key: str) -> Encoded:
    """Return the entry of a file after a check of every byte; large ones stay in the file.

    Raises:
        FileNotFoundError: there is none.
        HostFault: another format, or damage.
    """
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            if told.get("format", str(FORMAT)) != str(FORMAT):
                raise HostFault(
                    f"{path}: an encoded document of format {told['format']}; this version of "
                    f"HeadRank reads format {FORMAT}. Encode into another folder, or use the "
                    "version that wrote it"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, error) from None
    found = _digest(tensors, key)
    if told.get("sha256") != found:
        raise _damaged(path, f"SHA-256 is {found[:16]}, noted is {str(told.get('sha256'))[:16]}")
    if not {"keys", "values"} <= set(tensors) <= set(_NAMES):
        raise _damaged(path, f"it holds {', '.join(sorted(tensors)) or 'nothing'}")
    entry = Encoded(**tensors)
    if entry.bytes < _MAPPED:
        entry = Encoded(**{name: one.clone() for name, one in tensors.items()})
    return entry


def _digest(tensors: dict[str, torch.Tensor], key: str) -> str:
    shapes = [
        [name, str(tensors[name].dtype), list(tensors[name].shape)] for name in sorted(tensors)
    ]
    result = hashlib.sha256(json.dumps([FORMAT, key, shapes]).encode())
    for name in sorted(tensors):
        if tensors[name].numel():
            result.update(_bytes(tensors[name]))
    return result.hexdigest()


def _bytes(tensor: torch.Tensor) -> np.ndarray:
    return tensor.flatten().view(torch.uint8).numpy()


def _damaged(path: str | os.PathLike, reason: object) -> HostFault:
    return HostFault(
        f"{path}: the encoded document is damaged ({reason}); delete this file and run again, "
        "the document is then read anew"
    )
