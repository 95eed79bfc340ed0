"""Uniform numbers that are a function of a key and a position: the random part of images that are not stored.

A number is a hash of both, so that it is the same on every device, in every batch and in every order, and
none has to be kept (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; here with a lighter
mixer, as is enough for pictures). Everything is exact integer arithmetic below 2**63 until the very end.

The mixer is the best of two rounds known to C. Wellons' hash-prospector (issue 19): ``[16 21f0aaad 15
735a2d97 15]``. Both multipliers are below 2**31, so that a product with 32 bits fits an int64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from disentangle.compiled import compiled

VERSION = 1  # rises when the same key begins to give other numbers
FIRST, SECOND = 0x21F0AAAD, 0x735A2D97
WORD = 0xFFFFFFFF  # the lower 32 bits
STEP = 0x9E3779B9  # so that neither key 0 nor position 0 is 0, which the mixer leaves alone
BITS = 24  # of a number: as many as float32 holds exactly
AT_ONCE = 1 << 22  # numbers that the tensor form computes at once, as int64, to bound its memory


def positions(count: int, device: torch.device | str = "cpu") -> Tensor:
    """What tells the numbers of one key apart, for `uniforms`: int64 ``(count,)``, all different.

    Made once: inside a captured CUDA graph a table that lies there already costs nothing.
    """
    return _mixed((torch.arange(count, dtype=torch.int64, device=device) + STEP) & WORD)


def uniforms(keys: Tensor, table: Tensor) -> Tensor:
    """Numbers ``u(key, position)``, uniform in [0, 1), multiples of 2**-24.

    A key's two words are first scrambled one to one, so that keys in a row are as unlike as any others.
    They enter on either side of a multiplication, so that no change of one makes up for one of the other.

    Args:
        keys: int64 ``(B,)``, any value.
        table: of `positions`, ``(P,)``, on the same device.

    Returns:
        float32 ``(B, P)``. On a CPU it is computed by compiled code, elsewhere by tensor operations
        that neither wait for the host nor depend on values; the bits are the same.

    >>> u = uniforms(torch.tensor([7, 8]), positions(3))
    >>> u.shape, bool((u[0] == uniforms(torch.tensor([7]), positions(3))[0]).all())
    (torch.Size([2, 3]), True)
    """
    first, second = _words(keys)
    if keys.device.type != "cpu":
        return by_tensors(first, second, table)
    out = np.empty((len(keys), len(table)), np.float32)
    _compiled()(first.numpy(), second.numpy(), table.numpy(), out)
    return torch.from_numpy(out)


def integers(numbers: Tensor, size: int) -> Tensor:
    """Numbers of `uniforms` as integers in ``0 .. size-1``, int64: the floor of ``size`` times them, exactly.

    >>> integers(torch.tensor([0.0, 0.5, 1 - 2**-24]), 129).tolist()
    [0, 64, 128]
    """
    return ((numbers * (1 << BITS)).to(torch.int64) * size) >> BITS


def by_tensors(first: Tensor, second: Tensor, table: Tensor) -> Tensor:
    """`uniforms` of a key's two words ``(B,)`` by tensor operations alone."""
    out = torch.empty((len(first), len(table)), dtype=torch.float32, device=table.device)
    rows = max(1, AT_ONCE // max(1, len(table)))
    for start in range(0, len(first), rows):
        some = slice(start, start + rows)
        x = table ^ first[some, None]
        x ^= x >> 16
        x.mul_(FIRST).bitwise_and_(WORD)
        x ^= x >> 15
        x.mul_(SECOND).add_(second[some, None]).bitwise_and_(WORD)
        x ^= x >> 15
        out[some] = x.bitwise_right_shift_(32 - BITS)
    return out.mul_(2.0**-BITS)


def _words(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Two 32-bit words as int64: two rounds of a Feistel network, so that no two keys have the same."""
    low, high = keys & WORD, (keys >> 32) & WORD
    second = high ^ _mixed(low ^ STEP)
    return low ^ _mixed(second), second


def _mixed(x: Tensor) -> Tensor:
    """The mixer, one to one on 32 bits."""
    x = ((x ^ (x >> 16)) * FIRST) & WORD
    x = ((x ^ (x >> 15)) * SECOND) & WORD
    return x ^ (x >> 15)


def _fill(first: Any, second: Any, table: Any, out: Any) -> None:
    """`by_tensors` as a loop, for numba; int64 words in, float32 out."""
    for row in range(len(first)):
        a, b = np.uint32(first[row]), np.uint32(second[row])
        for column in range(len(table)):
            x = np.uint32(table[column]) ^ a
            x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(FIRST))
            x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(SECOND)) + b
            x = np.uint32(x)
            x ^= x >> np.uint32(15)
            out[row, column] = np.float32(np.int32(x >> np.uint32(8))) * np.float32(2.0**-24)


@cache
def _compiled() -> Callable[..., None]:
    """The loop compiled at its first use and kept on disk; numba is slow to import, so not before."""
    return compiled(_fill)
