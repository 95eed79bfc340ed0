"""The papers' convolutions, in the forms that train fastest on each device.

All forms compute the same function of the same parameters; they differ in rounding and in time.

- ``"plain"``: torch's own convolution. Under `torch.vmap` over a stack of models it becomes a grouped one.
- ``"cpu"``: torch's own, with the kernels that are fast in channels-last memory: of the many that oneDNN
  has for these shapes, those for images of one channel are up to ten times slower than their neighbours.
- ``"matmul"``: slices and matrix products, which a stack of models turns into batched matrix products.
- ``"triton"``: kernels of our own for a stack of models on an NVIDIA GPU (`disentangle.kernels`), which write
  no patches and take a `ReLU` that follows along.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Form = Literal["plain", "cpu", "matmul", "triton"]
FEW = 4  # output channels up to which a transposed convolution is a matrix product and a sum of patches


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with zero padding, in a form that the trainer may choose.

    Args:
        channels: of the input.
        features: of the output.
        kernel: the kernel's side, a multiple of the stride.
        stride: in pixels.
        padding: zeros on each side.

    >>> Conv2d(1, 32, 4, stride=2, padding=1)(torch.zeros(2, 1, 64, 64)).shape
    torch.Size([2, 32, 32, 32])
    """

    form: Form = "plain"
    rectified = False  # in form "triton": whether it does the work of a ReLU that follows

    def __init__(self, channels: int, features: int, kernel: int, stride: int = 2, padding: int = 0) -> None:
        super().__init__(channels, features, kernel, stride=stride, padding=padding)

    def forward(self, input: Tensor) -> Tensor:
        """Images ``(B, C, H, W)`` to features ``(B, features, H', W')``."""
        if self.form == "triton":
            return _by_kernels(self, input)
        given = _given(self, input)
        if self.form == "plain":
            return F.conv2d(*given)
        if self.form == "cpu":
            return _Convolution.apply(*given)  # type: ignore[no-any-return, no-untyped-call]
        return convolution_by_matmul(*given)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d` in a form that the trainer may choose; arguments as of `Conv2d`.

    >>> ConvTranspose2d(32, 1, 4, stride=2, padding=1)(torch.zeros(2, 32, 32, 32)).shape
    torch.Size([2, 1, 64, 64])
    """

    form: Form = "plain"
    rectified = False  # in form "triton": whether it does the work of a ReLU that follows

    def __init__(self, channels: int, features: int, kernel: int, stride: int = 2, padding: int = 0) -> None:
        super().__init__(channels, features, kernel, stride=stride, padding=padding)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Features ``(B, C, H, W)`` to images ``(B, features, H', W')``."""
        if output_size is not None:
            return super().forward(input, output_size)
        if self.form == "triton":
            return _by_kernels(self, input)
        given = _given(self, input)
        if self.form == "plain":
            return F.conv_transpose2d(*given)
        if self.form == "cpu":
            return _Transposed.apply(*given)  # type: ignore[no-any-return, no-untyped-call]
        return transposed_by_matmul(*given)


class ReLU(nn.ReLU):
    """`torch.nn.ReLU`, which has nothing to do where the layer before does its work.

    >>> ReLU()(torch.tensor([-1.0, 1.0]))
    tensor([0., 1.])
    """

    done = False

    def forward(self, input: Tensor) -> Tensor:
        """What is negative becomes zero."""
        return input if self.done else super().forward(input)


def set_form(model: nn.Module, form: Form) -> None:
    """Choose the form of every `Conv2d` and `ConvTranspose2d` of this module in a model."""
    for module in model.modules():
        if isinstance(module, Conv2d | ConvTranspose2d):
            module.form = form
        elif isinstance(module, nn.Sequential):
            for layer, after in itertools.pairwise(module):
                if isinstance(layer, Conv2d | ConvTranspose2d) and isinstance(after, ReLU):
                    layer.rectified = after.done = form == "triton"


def _by_kernels(layer: Any, x: Tensor) -> Tensor:
    from disentangle.stacked import convolution  # needs Triton, which not every machine has

    [cast] = _cast(x)  # the parameters' gradients are summed in float32
    settings = layer.stride[0], layer.padding[0], layer.rectified, isinstance(layer, ConvTranspose2d)
    return convolution(cast, layer.weight, layer.bias, *settings)


def _given(layer: Any, x: Tensor) -> tuple[Any, ...]:
    """Input, weight, bias, stride and padding."""
    return *_cast(x, layer.weight, layer.bias), layer.stride[0], layer.padding[0]


def _cast(x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the type that `torch.autocast` asks for.

    Under `torch.vmap` that does it too late: a CPU would compute in float32, and torch refuses an input of
    another type than the bias.
    """
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        return tuple(tensor.to(dtype) for tensor in (x, *parameters))
    return x, *parameters


def convolution_by_matmul(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    """A convolution as one matrix product; kernel and padded image are multiples of the stride.

    The image is cut into blocks of ``stride`` pixels, of which a patch is ``kernel / stride`` in each
    direction: so patches are slices, and their gradients are sums of slices.
    """
    pixels = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    n, height, width, channels = pixels.shape
    kernel = weight.shape[-1]
    blocks = kernel // stride
    rows, columns = height // stride - blocks + 1, width // stride - blocks + 1
    cut = pixels.reshape(n, height // stride, stride, width // stride, stride, channels)
    patches = torch.stack(
        [
            torch.stack([cut[:, i : i + rows, :, j : j + columns] for j in range(blocks)], dim=4)
            for i in range(blocks)
        ],
        dim=2,
    )  # n, rows, block, within it, columns, block, within it, channels
    flat = patches.permute(0, 1, 4, 2, 3, 5, 6, 7).reshape(n * rows * columns, kernel * kernel * channels)
    product = torch.addmm(bias, flat, weight.permute(2, 3, 1, 0).reshape(flat.shape[1], -1))
    return product.reshape(n, rows, columns, -1).permute(0, 3, 1, 2)


def transposed_by_matmul(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    """A transposed convolution as one matrix product and a sum of its overlapping patches."""
    n, channels, height, width = x.shape
    features, kernel = weight.shape[1], weight.shape[-1]
    blocks = kernel // stride
    flat = x.permute(0, 2, 3, 1).reshape(-1, channels)
    patches = (flat @ weight.permute(0, 2, 3, 1).reshape(channels, -1)).reshape(
        n, height, width, blocks, stride, blocks, stride, features
    )
    last = blocks - 1
    total = sum(
        F.pad(patches[:, :, :, i, :, j], (0, 0, 0, 0, 0, 0, j, last - j, i, last - i))
        for i in range(blocks)
        for j in range(blocks)
    )
    assert isinstance(total, Tensor)  # n, rows of blocks, columns of blocks, within, within, features
    rows, columns = (height + last) * stride, (width + last) * stride
    pixels = total.permute(0, 1, 3, 2, 4, 5).reshape(n, rows, columns, features)
    pixels = pixels[:, padding : rows - padding, padding : columns - padding]
    return (pixels + bias.to(pixels.dtype)).permute(0, 3, 1, 2)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, transposed: bool, mask: list[bool]
) -> tuple[Tensor, Tensor]:
    """Torch's gradients with respect to ``x`` and ``weight``, those that the mask asks for."""
    by_x, by_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [stride, stride], [padding, padding], [1, 1], transposed, [0, 0], 1,
        [*mask, False],
    )  # fmt: skip
    return by_x, by_weight


class _Convolution(torch.autograd.Function):
    """A convolution in channels-last memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(_channels_last(x), weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), grad = ctx.saved_tensors, _channels_last(grads[0])
        left_over = [(side + 2 * ctx.padding - weight.shape[-1]) % ctx.stride for side in x.shape[2:]]
        if x.shape[1] == 1 and not ctx.needs_input_grad[0] and not any(left_over):
            # The weights' gradient is a correlation of x and grad, and so that of the transposed
            # convolution from grad to x, which has a fast kernel where x has one channel.
            by_x = None
            _, by_weight = _gradients(x, grad, weight, ctx.stride, ctx.padding, True, [False, True])
        else:
            mask = [ctx.needs_input_grad[0], True]
            by_x, by_weight = _gradients(grad, x, weight, ctx.stride, ctx.padding, False, mask)
        return by_x, by_weight, grad.sum((0, 2, 3)), None, None


class _Transposed(torch.autograd.Function):
    """A transposed convolution in channels-last memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        x = _channels_last(x)
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        if weight.shape[1] > FEW:
            y = F.conv_transpose2d(x, weight, None, stride, padding)
        else:
            y = _summed_patches(x, weight, stride, padding)
        return y.add_(bias.view(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), grad = ctx.saved_tensors, _channels_last(grads[0])
        by_x, by_weight = _gradients(grad, x, weight, ctx.stride, ctx.padding, True, [True, True])
        return _channels_last(by_x), by_weight, grad.sum((0, 2, 3)), None, None


def _summed_patches(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """A transposed convolution to few channels: a matrix product, and torch's sum of patches."""
    n, channels, height, width = x.shape
    kernel = weight.shape[-1]
    patches = x.permute(0, 2, 3, 1).reshape(n, height * width, channels) @ weight.reshape(channels, -1)
    rows, columns = ((side - 1) * stride + kernel - 2 * padding for side in (height, width))
    return F.fold(patches.transpose(1, 2), (rows, columns), kernel, padding=padding, stride=stride)
