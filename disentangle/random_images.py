"""Image stores with a random part: white sprites on black that are coloured or put before a background.

The random part is computed with each batch from one number per image shown, its key (see
`disentangle.pixel_noise`), and never stored. The same image and key give the same picture, to the bit, on
every device, in any batch and order. Nothing here waits for the device, branches on a value or has a
shape that depends on one, so that a captured CUDA graph can contain it.

The recipes are those of disentanglement_lib's `dsprites.py` (Locatello et al. 2019), with two departures.
Its scores show each image with another random part every time; here, without keys, an image always looks
the same, so that what a model is scored on is a fixed set. And numbers have 24 random bits, not 53.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor

from disentangle.errors import InputError
from disentangle.images import ImageStore
from disentangle.pixel_noise import integers, positions, uniforms

CHANNELS = 3


class RandomImages(ABC):
    """Pictures that `paint` makes of sprites and random numbers.

    Args:
        sprites: images of one channel, of zeros and ones.
        numbers: random numbers of an image.

    Raises:
        InputError: the sprites have several channels.
    """

    random = True

    def __init__(self, sprites: ImageStore, numbers: int) -> None:
        if sprites.shape[0] != 1:
            raise InputError(f"sprites must have one channel, got images of shape {sprites.shape}")
        self.shape = (CHANNELS, *sprites.shape[1:])
        self._sprites = sprites
        self._positions = positions(numbers)

    @abstractmethod
    def paint(self, sprites: Tensor, numbers: Tensor) -> Tensor:
        """Pictures ``(B, H, W, 3)`` of sprites ``(B, H, W, 1)`` and ``(B, numbers)`` uniform in [0, 1)."""

    def __len__(self) -> int:
        return len(self._sprites)

    def gather(self, index: Tensor, keys: Tensor | None = None) -> Tensor:
        """See `ImageStore.gather`. Without keys image i has the key -1 - i, which no training draws."""
        sprites = self._sprites.gather(index).permute(0, 2, 3, 1)
        numbers = uniforms(~index if keys is None else keys, self._positions)
        return self.paint(sprites, numbers).permute(0, 3, 1, 2)

    def to(self, device: torch.device | str) -> Self:
        """The same images on another device."""
        moved = copy.copy(self)
        moved._sprites = self._sprites.to(device)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        return moved

    @property
    def nbytes(self) -> int:
        """Bytes of the sprites and of what is needed to paint."""
        own = sum(value.nbytes for value in vars(self).values() if isinstance(value, Tensor))
        return self._sprites.nbytes + own


class Coloured(RandomImages):
    """Each sprite in a colour of its own: a pixel is ``x * (1 + u) / 2``, with one u per channel.

    So channels are uniform in [0.5, 1), as u is in [0, 1), and the background is black. (Of u's 2**24 values
    float32 rounds the largest to a channel of 1.)

    >>> from disentangle.images import Pixels
    >>> store = Coloured(Pixels(torch.ones(2, 1, 1, dtype=torch.uint8), scale=1))
    >>> image = store.gather(torch.tensor([1]), torch.tensor([5]))
    >>> image.shape, bool((image >= 0.5).all())
    (torch.Size([1, 3, 1, 1]), True)
    """

    def __init__(self, sprites: ImageStore) -> None:
        super().__init__(sprites, CHANNELS)

    def paint(self, sprites: Tensor, numbers: Tensor) -> Tensor:
        """See `RandomImages.paint`."""
        return sprites * (0.5 + 0.5 * numbers)[:, None, None]


class Noisy(RandomImages):
    """Sprites before noise: a pixel is ``min(x + u, 1)``, with one u of [0, 1) per pixel and channel.

    A sprite stays white, for x is 1 there.

    >>> from disentangle.images import Pixels
    >>> store = Noisy(Pixels(torch.eye(2, dtype=torch.uint8)[None], scale=1))
    >>> store.gather(torch.tensor([0]))[0, 0].floor().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, sprites: ImageStore) -> None:
        super().__init__(sprites, CHANNELS * sprites.shape[1] * sprites.shape[2])

    def paint(self, sprites: Tensor, numbers: Tensor) -> Tensor:
        """See `RandomImages.paint`."""
        return numbers.view(*sprites.shape[:3], CHANNELS).add_(sprites).clamp_(max=1)


class Inverting(RandomImages):
    """Sprites that invert a background, a random piece of a picture in a random tint.

    The background is ``b = (piece + u) / 2``, with one u of [0, 1) per channel; a pixel is b, and 1 - b
    where the sprite is. The piece's upper edge is uniform in 0 .. max(1, height - H) - 1, its left edge
    likewise: as in the reference the picture's last row and column are never seen, unless it is no larger
    than the piece (where the reference fails).

    Args:
        sprites: see `RandomImages`.
        picture: float32 ``(height, width, 3)`` in [0, 1].

    Raises:
        InputError: the picture is no such array, or smaller than a sprite's image.

    >>> from disentangle.images import Pixels
    >>> store = Inverting(Pixels(torch.eye(2, dtype=torch.uint8)[None], scale=1), torch.zeros(9, 9, 3))
    >>> image = store.gather(torch.tensor([0]))[0]
    >>> bool((image[:, 0, 0] + image[:, 0, 1] == 1).all())
    True
    """

    def __init__(self, sprites: ImageStore, picture: Tensor) -> None:
        super().__init__(sprites, CHANNELS + 2)
        _, height, width = sprites.shape
        size = tuple(picture.shape)
        if picture.dtype != torch.float32 or len(size) != 3 or size[2] != CHANNELS:
            raise InputError(f"a background must be float32 (height, width, 3), got {picture.dtype} {size}")
        if size[0] < height or size[1] < width:
            raise InputError(f"a background must be {height}x{width} pixels or more, got {size[0]}x{size[1]}")
        self._picture = picture.contiguous()

    def paint(self, sprites: Tensor, numbers: Tensor) -> Tensor:
        """See `RandomImages.paint`."""
        _, height, width, _ = sprites.shape
        rows, columns, _ = self._picture.shape
        top = integers(numbers[:, CHANNELS], max(1, rows - height))
        left = integers(numbers[:, CHANNELS + 1], max(1, columns - width))
        lines = self._picture.flatten(1).unfold(1, width * CHANNELS, CHANNELS)  # from each column on
        down = torch.arange(height, device=sprites.device)
        pieces = lines[top[:, None] + down, left[:, None]].view(-1, height, width, CHANNELS)
        background = pieces.add_(numbers[:, None, None, :CHANNELS]).mul_(0.5)
        return background.sub_(sprites).abs_()  # |b - 0| or |b - 1|
