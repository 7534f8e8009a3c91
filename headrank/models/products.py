"""Products of bfloat16 weights where a processor has no instructions for them.

Without AVX-512 torch multiplies bfloat16 matrices in a plain loop: 8 GFLOP/s on an AMD Zen 3 core,
where float32 has 72. So such a product is made in float32 and rounded once. That is what bfloat16
instructions give too: float32 holds each product of two bfloat16 numbers exactly, and sums are kept
in float32. Only the order of a sum differs, as it does between any two processors. Weights stay in
bfloat16; a layer's are widened while it is computed.
"""

from __future__ import annotations

import functools
import logging
import platform

import torch

logger = logging.getLogger(__name__)
AMPERE = 8  # compute capability from which NVIDIA's GPUs multiply bfloat16
FEW = 8  # rows from which widening the weights costs less than the plain loop saves


@functools.cache
def lacks_bfloat16() -> bool:
    """Return whether this processor is one on which torch multiplies bfloat16 in a plain loop."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return x86 and not torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def slow_backward(states: torch.Tensor, training: bool) -> bool:
    """Return whether attention on states is to be made in float32, for its backward pass.

    That of bfloat16 loops as its products do: 5 to 9 times the time of float32 on a Zen 3 core. The
    forward pass alone takes as long in both.

    Args:
        training: whether the model is in training mode. A frozen reference, which is read without
            gradients there, must round as what it is compared with.
    """
    return (
        states.dtype == torch.bfloat16
        and states.device.type == "cpu"
        and training
        and lacks_bfloat16()
    )


class WideLinear(torch.nn.Linear):
    """A frozen bfloat16 layer whose product is made in float32 and rounded once."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``[..., out]`` of rows ``[..., in]``, in their type."""
        wide = (
            rows.dtype == self.weight.dtype == torch.bfloat16
            and not self.weight.requires_grad
            and rows.device.type == "cpu"
            and rows.numel() >= FEW * self.in_features
        )
        return _Product.apply(rows, self.weight, self.bias) if wide else super().forward(rows)


class _Product(torch.autograd.Function):
    """A product with frozen weights, which are widened again on the way back and never kept so."""

    @staticmethod
    def forward(ctx, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None):
        ctx.save_for_backward(weight)
        added = None if bias is None else bias.float()
        return torch.nn.functional.linear(rows.float(), weight.float(), added).to(rows.dtype)

    @staticmethod
    def backward(ctx, found: torch.Tensor):
        (weight,) = ctx.saved_tensors
        return (found.float() @ weight.float()).to(found.dtype), None, None


def widen(model: torch.nn.Module) -> None:
    """Let a model's bfloat16 layers multiply in float32, where this processor would loop."""
    if not lacks_bfloat16():
        return
    layers = [
        layer
        for layer in model.modules()
        if type(layer) is torch.nn.Linear
        and layer.weight.dtype == torch.bfloat16
        and layer.weight.device.type == "cpu"
    ]
    for layer in layers:
        layer.__class__ = WideLinear
    if layers:
        logger.info("no bfloat16 instructions here: products are made in float32 and rounded")


def tell_slow(model: torch.nn.Module) -> None:
    """Warn of bfloat16 weights on a GPU that has no instructions for them."""
    for parameter in model.parameters():
        if parameter.is_cuda and parameter.dtype == torch.bfloat16:
            major, minor = torch.cuda.get_device_capability(parameter.device)
            if torch.version.cuda is not None and major < AMPERE:
                logger.warning(
                    "%s (compute capability %d.%d) has no bfloat16 instructions, they came with "
                    "%d.0: dtype float32 may be faster",
                    torch.cuda.get_device_name(parameter.device),
                    major,
                    minor,
                    AMPERE,
                )
            return
