"""Triton kernels: the convolutions of a stack of models, as matrix products that gather their own patches.

All read and write channels-last memory: images ``(n, B, H, W, C)`` of n models, weights
``(n, out, k, k, in)``. A program computes a tile of one model's output. No patches are written anywhere, and
a rectifier costs no pass of its own: forward it is part of the store, backward a gate on what is read. Sums
have a fixed order that does not depend on the number of models.

Needs Triton, which torch brings on Linux where it has CUDA; with ``TRITON_INTERPRET=1`` the same code runs on
a CPU, slowly, for tests.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

PIXELS = 128  # of an output's tile
DEEP = 256  # bytes of a pixel from which on that tile is half of it, for registers and shared memory
STRIP = 128  # bytes of a row of pixels that a weight's gradient takes at once
WHOLE_SUM = 4096  # pixels whose part of a weight's gradient is summed by one program
LEAST = 16  # the smallest side of a tile that the matrix units take


@triton.jit
def _read(start, offsets, inside, gate, GATED: tl.constexpr):  # type: ignore[no-untyped-def]
    """What lies at these offsets, zero outside and where the gate is closed."""
    found = tl.load(start + offsets, mask=inside, other=0.0)
    if GATED:  # as torch does it: what is no number stays none
        found = tl.where(tl.load(gate + offsets, mask=inside, other=0.0) <= 0, 0.0, found).to(found.dtype)
    return found


@triton.jit
def _with_bias(total, bias, f, F: tl.constexpr, BIASED: tl.constexpr, RELU: tl.constexpr):  # type: ignore[no-untyped-def]
    """A tile's sums with what is left to do to them."""
    if BIASED:
        total += tl.load(bias + f, mask=f < F, other=0.0)[None, :]
    if RELU:
        total = tl.where(total <= 0, 0.0, total)  # a maximum would take NaN for zero
    return total


@triton.jit
def _convolve(  # type: ignore[no-untyped-def]
    x, gate, w, bias, y, rows_in_all,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    OUT_H: tl.constexpr, OUT_W: tl.constexpr, F: tl.constexpr,
    KERNEL: tl.constexpr, STRIDE: tl.constexpr, PADDING: tl.constexpr,
    BATCH: tl.constexpr, TILE: tl.constexpr, TILE_K: tl.constexpr, TILE_F: tl.constexpr,
    GATED: tl.constexpr, BIASED: tl.constexpr, RELU: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``y[b, i, j, f] = sum x[b, S i + u - P, S j + v - P, c] w[f, u, v, c]`` for a tile of ``(b, i, j)``."""
    member = tl.program_id(1).to(tl.int64)
    x += member * BATCH * H * W * C
    gate += member * BATCH * H * W * C
    w += member * KERNEL * KERNEL * C * F
    rows = tl.program_id(0) * TILE + tl.arange(0, TILE)
    image = rows // (OUT_H * OUT_W)
    top = rows % (OUT_H * OUT_W) // OUT_W * STRIDE - PADDING
    left = rows % OUT_W * STRIDE - PADDING
    f = tl.arange(0, TILE_F)
    total = tl.zeros((TILE, TILE_F), dtype=tl.float32)
    for k in range(0, KERNEL * KERNEL * C, TILE_K):
        ks = k + tl.arange(0, TILE_K)
        if C == TILE_K:  # one tap at a time: neighbours in the tile are neighbours in memory
            down, right = top + k // C // KERNEL, left + k // C % KERNEL
            seen = (rows < rows_in_all) & (down >= 0) & (down < H) & (right >= 0) & (right < W)
            at = ((image * H + down) * W + right)[:, None] * C + tl.arange(0, C)[None, :]
            inside = seen[:, None] & tl.full((1, C), True, tl.int1)
        else:
            down, right = (
                top[:, None] + (ks // C // KERNEL)[None, :],
                left[:, None] + (ks // C % KERNEL)[None, :],
            )
            inside = (down >= 0) & (down < H) & (right >= 0) & (right < W)
            inside = inside & (rows < rows_in_all)[:, None] & (ks < KERNEL * KERNEL * C)[None, :]
            at = ((image[:, None] * H + down) * W + right) * C + (ks % C)[None, :]
        known = (ks < KERNEL * KERNEL * C)[:, None] & (f < F)[None, :]
        weights = tl.load(w + f[None, :] * (KERNEL * KERNEL * C) + ks[:, None], mask=known, other=0.0)
        total += tl.dot(_read(x, at, inside, gate, GATED), weights, input_precision=PRECISION)
    total = _with_bias(total, bias + member * F, f, F, BIASED, RELU)
    out = (member * rows_in_all + rows)[:, None] * F + f[None, :]
    tl.store(y + out, total.to(y.dtype.element_ty), mask=(rows < rows_in_all)[:, None] & (f < F)[None, :])


@triton.jit
def _spread(  # type: ignore[no-untyped-def]
    x, gate, w, bias, y, rows_in_all,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    OUT_H: tl.constexpr, OUT_W: tl.constexpr, F: tl.constexpr,
    KERNEL: tl.constexpr, STRIDE: tl.constexpr, PADDING: tl.constexpr,
    BATCH: tl.constexpr, TILE: tl.constexpr, TILE_K: tl.constexpr, TILE_F: tl.constexpr,
    GATED: tl.constexpr, BIASED: tl.constexpr, RELU: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``y[b, S i + u - P, S j + v - P, f] = sum x[b, i, j, c] w[f, u, v, c]``, the transposed convolution.

    A program takes output pixels ``(S row + phase, S column + phase)`` of one phase: these see the same taps.
    """
    HIGH: tl.constexpr = (OUT_H + STRIDE - 1) // STRIDE
    WIDE: tl.constexpr = (OUT_W + STRIDE - 1) // STRIDE
    ACROSS: tl.constexpr = KERNEL // STRIDE  # taps that an output pixel sees, in each direction
    member = tl.program_id(1).to(tl.int64)
    x += member * BATCH * H * W * C
    gate += member * BATCH * H * W * C
    w += member * KERNEL * KERNEL * C * F
    down, right = tl.program_id(2) // STRIDE, tl.program_id(2) % STRIDE
    rows = tl.program_id(0) * TILE + tl.arange(0, TILE)
    image = rows // (HIGH * WIDE)
    row, column = rows % (HIGH * WIDE) // WIDE, rows % WIDE
    f = tl.arange(0, TILE_F)
    total = tl.zeros((TILE, TILE_F), dtype=tl.float32)
    u, v = (down + PADDING) % STRIDE, (right + PADDING) % STRIDE
    top, left = row + (down + PADDING) // STRIDE, column + (right + PADDING) // STRIDE
    for k in range(0, ACROSS * ACROSS * C, TILE_K):
        ks = k + tl.arange(0, TILE_K)
        if C == TILE_K:  # as above
            a, b = k // C // ACROSS, k // C % ACROSS
            seen = (rows < rows_in_all) & (top >= a) & (top - a < H) & (left >= b) & (left - b < W)
            at = ((image * H + top - a) * W + left - b)[:, None] * C + tl.arange(0, C)[None, :]
            inside = seen[:, None] & tl.full((1, C), True, tl.int1)
            of_tap = ((u + STRIDE * a) * KERNEL + v + STRIDE * b) * C + tl.arange(0, C)
        else:
            i, j = top[:, None] - (ks // C // ACROSS)[None, :], left[:, None] - (ks // C % ACROSS)[None, :]
            inside = (i >= 0) & (i < H) & (j >= 0) & (j < W)
            inside = inside & (rows < rows_in_all)[:, None] & (ks < ACROSS * ACROSS * C)[None, :]
            at = ((image[:, None] * H + i) * W + j) * C + (ks % C)[None, :]
            of_tap = ((u + ks // C // ACROSS * STRIDE) * KERNEL + v + ks // C % ACROSS * STRIDE) * C + ks % C
        patch = _read(x, at, inside, gate, GATED)
        known = (ks < ACROSS * ACROSS * C)[:, None] & (f < F)[None, :]
        weights = tl.load(w + f[None, :] * (KERNEL * KERNEL * C) + of_tap[:, None], mask=known, other=0.0)
        if F == 1:  # a matrix unit would compute sixteen columns, of which one is wanted
            single = tl.sum(weights.to(tl.float32), axis=1)  # the others are masked
            total += tl.sum(patch.to(tl.float32) * single[None, :], axis=1)[:, None]
        else:
            total += tl.dot(patch, weights, input_precision=PRECISION)
    total = _with_bias(total, bias + member * F, f, F, BIASED, RELU)
    high, wide = row * STRIDE + down, column * STRIDE + right
    out = ((member * BATCH + image) * OUT_H + high) * OUT_W + wide
    kept = (rows < rows_in_all) & (high < OUT_H) & (wide < OUT_W)
    tl.store(
        y + out[:, None] * F + f[None, :],
        total.to(y.dtype.element_ty),
        mask=kept[:, None] & (f < F)[None, :],
    )


@triton.jit
def _correlate(  # type: ignore[no-untyped-def]
    large, small, gate, by_weight, sums, members, rows_in_all,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    OUT_H: tl.constexpr, OUT_W: tl.constexpr, F: tl.constexpr,
    KERNEL: tl.constexpr, STRIDE: tl.constexpr, PADDING: tl.constexpr,
    BATCH: tl.constexpr, TILE: tl.constexpr, TILE_K: tl.constexpr, TILE_F: tl.constexpr, PART: tl.constexpr,
    GATED_LARGE: tl.constexpr, GATED_SMALL: tl.constexpr, SUMS_OF_LARGE: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """``sum large[b, S i + u - P, S j + v - P, c] small[b, i, j, f]`` over a part of all ``(b, i, j)``.

    And the sums of the one that is a gradient: per tap and channel of ``large``, or per channel of ``small``.
    """
    K: tl.constexpr = KERNEL * KERNEL * C
    member = tl.program_id(1).to(tl.int64)
    part = tl.program_id(2)
    large += member * BATCH * H * W * C
    small += member * BATCH * OUT_H * OUT_W * F
    gate += member * BATCH * (H * W * C if GATED_LARGE else OUT_H * OUT_W * F)
    ks = tl.program_id(0) * TILE_K + tl.arange(0, TILE_K)
    f = tl.arange(0, TILE_F)
    u, v = ks // C // KERNEL, ks // C % KERNEL
    of_tap = (u * W + v) * C + ks % C
    total = tl.zeros((TILE_K, TILE_F), dtype=tl.float32)
    of_large = tl.zeros((TILE_K,), dtype=tl.float32)
    of_small = tl.zeros((TILE_F,), dtype=tl.float32)
    for step in range(0, PART, TILE):
        rows = part * PART + step + tl.arange(0, TILE)
        image = rows // (OUT_H * OUT_W)
        top, left = rows % (OUT_H * OUT_W) // OUT_W * STRIDE - PADDING, rows % OUT_W * STRIDE - PADDING
        down, right = top[None, :] + u[:, None], left[None, :] + v[:, None]
        inside = (down >= 0) & (down < H) & (right >= 0) & (right < W)
        inside = inside & (rows < rows_in_all)[None, :] & (ks < K)[:, None]
        at = (((image * H + top) * W + left) * C)[None, :] + of_tap[:, None]
        patch = _read(large, at, inside, gate, GATED_LARGE)
        known = (rows < rows_in_all)[:, None] & (f < F)[None, :]
        other = _read(small, rows[:, None] * F + f[None, :], known, gate, GATED_SMALL)
        total += tl.dot(patch, other, input_precision=PRECISION)
        if SUMS_OF_LARGE:
            of_large += tl.sum(patch.to(tl.float32), axis=1)
        else:
            of_small += tl.sum(other.to(tl.float32), axis=0)
    place = part * members + member
    tl.store(
        by_weight + (place * K + ks)[:, None] * F + f[None, :],
        total,
        mask=(ks < K)[:, None] & (f < F)[None, :],
    )
    if SUMS_OF_LARGE:
        tl.store(sums + place * K + ks, of_large, mask=ks < K)
    elif tl.program_id(0) == 0:
        tl.store(sums + place * F + f, of_small, mask=f < F)


def _tiles(channels: int, features: int, bytes_each: int, precision: str) -> dict[str, int]:
    """The sides of the tiles of a product over ``channels`` per tap to ``features``."""
    along = channels if channels in (16, 32, 64, 128) else LEAST
    pixels = PIXELS // 2 if along * bytes_each >= DEEP else PIXELS
    if precision == "ieee" and features > 32:  # without matrix units, factors are in registers
        pixels //= 2
    return {"TILE": pixels, "TILE_K": along, "TILE_F": max(LEAST, triton.next_power_of_2(features))}


def _correlation_tiles(depth: int, features: int, bytes_each: int, precision: str) -> dict[str, int]:
    """The sides of the tiles of a weight's gradient ``(depth, features)``, which sums over pixels."""
    return {
        "TILE": STRIP // bytes_each,
        "TILE_K": min(64 if precision == "ieee" else 128, triton.next_power_of_2(max(LEAST, depth))),
        "TILE_F": max(LEAST, triton.next_power_of_2(features)),
    }


def _precision(x: Tensor) -> str:
    """How products of float32 are taken: rounded to TF32 where `disentangle.precision` allows it."""
    return "tf32" if x.dtype != torch.float32 or torch.backends.cuda.matmul.allow_tf32 else "ieee"


def convolve(
    x: Tensor, w: Tensor, bias: Tensor | None, stride: int, padding: int, *, transposed: bool,
    size: tuple[int, int], relu: bool = False, gate: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """A convolution of each model, or a transposed one.

    Args:
        x: ``(n, B, H, W, C)``, contiguous.
        w: ``(n, F, k, k, C)``, contiguous, of the type of ``x``.
        bias: ``(n, F)``, or none.
        stride, padding: in pixels.
        transposed: which of both; of a transposed one the kernel's side is a multiple of the stride.
        size: height and width of the output.
        relu: set what is negative to zero.
        gate: of the shape of ``x``, which counts as zero where this is not positive.

    Returns:
        ``(n, B, H', W', F)``, of the type of ``x``.
    """
    n, batch, height, width, channels = x.shape
    features, side = w.shape[1:3]
    y = torch.empty((n, batch, *size, features), dtype=x.dtype, device=x.device)
    kernel, phases = (_spread, stride) if transposed else (_convolve, 1)  # in each direction
    rows = batch * triton.cdiv(size[0], phases) * triton.cdiv(size[1], phases)
    precision = _precision(x)
    tiles = _tiles(channels, features, x.element_size(), precision)
    kernel[(triton.cdiv(rows, tiles["TILE"]), n, phases * phases)](
        x, x if gate is None else gate, w, w if bias is None else bias, y, rows,
        H=height, W=width, C=channels, OUT_H=size[0], OUT_W=size[1], F=features,
        KERNEL=side, STRIDE=stride, PADDING=padding, BATCH=batch, **tiles,
        GATED=gate is not None, BIASED=bias is not None, RELU=relu, PRECISION=precision,
    )  # fmt: skip
    return y


def correlate(
    large: Tensor, small: Tensor, kernel: int, stride: int, padding: int, *, by_large: bool,
    gate: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The gradients by weight and bias of each model's convolution, or of its transposed one.

    Args:
        large: the side of the convolution's input ``(n, B, H, W, C)``, contiguous.
        small: that of its output ``(n, B, H', W', F)``, contiguous.
        kernel, stride, padding: in pixels.
        by_large: whether ``large`` is the gradient, as of a transposed convolution; else ``small`` is.
        gate: of the shape of the gradient, which counts as zero where this is not positive.

    Returns:
        The sums of products ``(n, k, k, C, F)``, and the gradient's sums: of ``small`` over all pixels
        ``(n, F)``, or of ``large`` over the pixels that a tap sees ``(n, k, k, C)``; both in float32.
    """
    n, batch, height, width, channels = large.shape
    out_height, out_width, features = small.shape[2:]
    rows, depth = batch * out_height * out_width, kernel * kernel * channels
    precision = _precision(large)
    tiles = _correlation_tiles(depth, features, large.element_size(), precision)
    parts = triton.cdiv(rows, WHOLE_SUM)
    part = triton.cdiv(triton.cdiv(rows, parts), tiles["TILE"]) * tiles["TILE"]
    by_weight = torch.empty((parts, n, depth, features), dtype=torch.float32, device=large.device)
    sums = torch.empty((parts, n, depth if by_large else features), dtype=torch.float32, device=large.device)
    _correlate[(triton.cdiv(depth, tiles["TILE_K"]), n, parts)](
        large, small, small if gate is None else gate, by_weight, sums, n, rows,
        H=height, W=width, C=channels, OUT_H=out_height, OUT_W=out_width, F=features,
        KERNEL=kernel, STRIDE=stride, PADDING=padding, BATCH=batch,
        **tiles, PART=part,
        GATED_LARGE=by_large and gate is not None, GATED_SMALL=not by_large and gate is not None,
        SUMS_OF_LARGE=by_large, PRECISION=precision,
    )  # fmt: skip
    shape = (n, kernel, kernel, channels)
    return by_weight.sum(0).view(*shape, features), sums.sum(0).view(shape if by_large else (n, features))
