"""What the machine can do at all: matrix products and copies per second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Wall seconds of work that may be queued on a device."""
    synchronise(device)
    began = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - began


def matrix_rate(device: torch.device, precision: str = "fp32", side: int = 2048, best_of: int = 2) -> float:
    """Operations per second of a square product, the best of some."""
    square = torch.randn(side, side, device=device, dtype=DTYPES[precision])
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        return 2 * side**3 / min(seconds(lambda: square @ square, device) for _ in range(best_of))
    finally:
        torch.set_float32_matmul_precision(before)


def copy_rate(device: torch.device, megabytes: int = 256, best_of: int = 2) -> float:
    """Bytes per second of a copy that no cache holds, read and written bytes both counted."""
    source = torch.ones(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    target.copy_(source)  # the first touch maps the pages
    return 2 * source.nbytes / min(seconds(lambda: target.copy_(source), device) for _ in range(best_of))
