"""The arithmetic of training: what a run's ``precision`` means on each device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from disentangle.errors import InputError
from disentangle.run import Precision

AMPERE = (8, 0)  # the first generation of GPUs with TF32


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse an arithmetic that the device does not have.

    bfloat16 runs on every processor; without instructions for it (`has_bf16`) it is several times slower
    than float32.

    Raises:
        InputError: TF32 on a CPU, or on a GPU that would silently compute in float32.
    """
    if precision != "tf32":
        return
    if device.type != "cuda":
        raise InputError(
            f"precision 'tf32' needs an NVIDIA GPU, the device is {device}; expected fp32 or bf16"
        )
    capability = torch.cuda.get_device_capability(device)
    if capability < AMPERE:
        raise InputError(
            f"precision 'tf32' needs an NVIDIA GPU of compute capability 8.0 or later, {device} has "
            f"{'.'.join(map(str, capability))}; expected fp32"
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
    with contextlib.ExitStack() as settings:
        if device.type == "cuda":
            settings.enter_context(_tf32(precision == "tf32"))
        if precision == "bf16":
            # The cache of rounded weights would outlive a captured graph's memory.
            settings.enter_context(torch.autocast(device.type, torch.bfloat16, cache_enabled=False))
        yield


@contextlib.contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Torch's own defaults differ: it rounds convolutions to TF32 and matrix products not."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
