"""The form ``"triton"`` of a convolution: `disentangle.kernels` with gradients and under vmap."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from disentangle import kernels


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int, relu: bool, transposed: bool
) -> Tensor:
    """A convolution, or a transposed one, with a rectifier if asked for; arguments as torch's.

    It computes in the type of ``x``; sums, and the gradients of the parameters, are float32.
    """
    y: Tensor = _Convolution.apply(x, weight, bias, stride, padding, relu, transposed)  # type: ignore[no-untyped-call]
    return y


class _Convolution(torch.autograd.Function):
    """Of one model, ``x (B, C, H, W)``, or of a stack of models, ``x (n, B, C, H, W)``."""

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int, relu: bool, transposed: bool
    ) -> Tensor:
        pixels, kernel = _pixels(x), weight.shape[-1]
        height, width = (_side(side, kernel, stride, padding, transposed) for side in x.shape[-2:])
        weights = _weights(weight, pixels.dtype, swapped=transposed)
        biases, size = bias.reshape(len(pixels), -1), (height, width)
        y = kernels.convolve(
            pixels, weights, biases, stride, padding, transposed=transposed, size=size, relu=relu
        )
        return _like(y, x.dim() == 4)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, ctx.stride, ctx.padding, ctx.relu, ctx.transposed = inputs
        ctx.save_for_backward(x, weight, output if ctx.relu else None)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, output = ctx.saved_tensors
        pixels, grad = _pixels(x), _pixels(grads[0])
        gate = None if output is None else _pixels(output)
        stride, padding, kernel = ctx.stride, ctx.padding, weight.shape[-1]
        by_x = None
        if ctx.needs_input_grad[0]:
            back = not ctx.transposed  # the gradient by the input is the other kind of convolution
            weights, size = _weights(weight, pixels.dtype, swapped=back), (pixels.shape[2], pixels.shape[3])
            y = kernels.convolve(grad, weights, None, stride, padding, transposed=back, size=size, gate=gate)
            by_x = _like(y, x.dim() == 4)
        large, small = (grad, pixels) if ctx.transposed else (pixels, grad)
        by_weight, by_bias = kernels.correlate(
            large, small, kernel, stride, padding, by_large=ctx.transposed, gate=gate
        )
        by_weight = by_weight.permute(0, 4, 3, 1, 2)
        if ctx.transposed and kernel == stride + 2 * padding:  # so many of the taps see each pixel once
            by_bias = by_bias[:, padding : padding + stride, padding : padding + stride].sum((1, 2))
        elif ctx.transposed:
            open_ = grad if gate is None else torch.where(gate <= 0, 0.0, grad)
            by_bias = open_.sum((1, 2, 3), dtype=torch.float32)
        if x.dim() == 4:
            by_weight, by_bias = by_weight[0], by_bias[0]
        return by_x, by_weight.contiguous(), by_bias, None, None, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, weight: Tensor, bias: Tensor, *settings: Any
    ) -> tuple[Tensor, int]:
        """All members at once."""
        stacked = [
            part.expand(info.batch_size, *part.shape) if dim is None else part.movedim(dim, 0)
            for part, dim in zip((x, weight, bias), in_dims, strict=False)
        ]
        return _Convolution.apply(*stacked, *settings), 0  # type: ignore[no-untyped-call]


def _side(side: int, kernel: int, stride: int, padding: int, transposed: bool) -> int:
    """Of the output, as torch has it."""
    if transposed:
        return (side - 1) * stride + kernel - 2 * padding
    return (side + 2 * padding - kernel) // stride + 1


def _pixels(images: Tensor) -> Tensor:
    """``(B, C, H, W)`` or ``(n, B, C, H, W)`` as ``(n, B, H, W, C)`` in order."""
    stacked = images if images.dim() == 5 else images.unsqueeze(0)
    return stacked.permute(0, 1, 3, 4, 2).contiguous()


def _like(pixels: Tensor, of_one: bool) -> Tensor:
    """The opposite of `_pixels`, without moving anything."""
    images = pixels.permute(0, 1, 4, 2, 3)
    return images[0] if of_one else images


def _weights(weight: Tensor, dtype: torch.dtype, swapped: bool) -> Tensor:
    """Torch's ``(a, b, k, k)`` or a stack of them as ``(n, a, k, k, b)``; swapped, ``(n, b, k, k, a)``."""
    stacked = weight if weight.dim() == 5 else weight.unsqueeze(0)
    order = (0, 2, 3, 4, 1) if swapped else (0, 1, 3, 4, 2)
    return stacked.permute(order).to(dtype).contiguous()
