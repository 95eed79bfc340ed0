"""The arithmetic of training: what a run's ``precision`` means on each device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch

from disentangle.errors import InputError

Precision = Literal["fp32", "tf32", "bf16"]


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse an arithmetic that the device does not have.

    bfloat16 runs on every processor; without instructions for it (`has_bf16`) it is several times slower
    than float32.

    Raises:
        InputError: TF32 on a CPU.
    """
    if precision == "tf32" and device.type != "cuda":
        raise InputError(
            f"precision 'tf32' needs an NVIDIA GPU, the device is {device}; expected fp32 or bf16"
        )


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextlib.contextmanager
def computing_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """Compute in a precision.

    ``"fp32"``: every product in float32. ``"tf32"``: matrix products and convolutions with factors rounded
    to 10 bits (NVIDIA GPUs). ``"bf16"``: those products in bfloat16 by `torch.autocast`; parameters, the
    optimiser, sums and the loss stay float32.
    """
    rounded = precision == "tf32"
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = rounded
    try:
        if precision == "bf16":
            # The cache of rounded weights would outlive a captured graph's memory.
            with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
                yield
        else:
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
