"""Image stores: where a data set's images are, so that a batch is `store.gather(indices)`.

A store never holds more than it must: resident bytes (`Pixels`), one bit a pixel (`PackedBits`) or
the parts that images are composed of (`Parts`). The arrays may be memory maps shared by processes:
a store only reads them.
"""

from __future__ import annotations

import warnings
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from disentangle.errors import InputError

Array = NDArray[np.generic]


class ImageStore(Protocol):
    """Images as a function of their indices.

    Attributes:
        shape: ``(C, H, W)`` of one image.
        random: whether images have a random part, which depends on a key (see
            `disentangle.random_images`); False for images that always look the same.
    """

    shape: tuple[int, int, int]
    random: bool

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def gather(self, index: Tensor, keys: Tensor | None = None) -> Tensor:
        """The images of ``index``, int64 ``(B,)`` on the store's device: float32 ``(B, C, H, W)`` in [0, 1].

        With several channels the result is in ``channels_last`` memory format.

        Args:
            index: which images.
            keys: of a store that is `random`: int64 ``(B,)`` on the store's device, a random number of
                ``0 .. 2**63 - 1`` per image to be shown; image and key say how it looks. Without keys
                an image always looks the same, as it does with no key that training draws. Other
                stores are never given keys, and have no use for them.
        """
        ...

    def to(self, device: torch.device | str) -> Self:
        """The same images on another device."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that the store occupies on its device (or maps from a file)."""
        ...


class Pixels:
    """Resident pixels, one byte each.

    Args:
        array: uint8 ``(N, H, W, C)``, or ``(N, H, W)`` for one channel.
        scale: the value that means 1: 255, or 1 for images of zeros and ones.

    Raises:
        InputError: the array has another type or number of axes.

    >>> store = Pixels(np.full((5, 2, 2, 3), 51, np.uint8))
    >>> images = store.gather(torch.tensor([4, 0]))
    >>> tuple(images.shape), round(images.max().item(), 3)
    ((2, 3, 2, 2), 0.2)
    """

    random = False

    def __init__(self, array: Array | Tensor, scale: float = 255) -> None:
        pixels = _tensor(array, torch.uint8, (3, 4), "Pixels")
        self._pixels = pixels.unsqueeze(3) if pixels.ndim == 3 else pixels
        self._scale = scale
        _, height, width, channels = self._pixels.shape
        self.shape = (channels, height, width)

    def __len__(self) -> int:
        return len(self._pixels)

    def gather(self, index: Tensor, keys: Tensor | None = None) -> Tensor:
        """See `ImageStore.gather`."""
        batch = self._pixels.index_select(0, index).to(torch.float32)
        if self._scale != 1:
            batch = batch.div_(self._scale)
        if self.shape[0] == 1:
            return batch.view(-1, *self.shape)
        return batch.permute(0, 3, 1, 2)  # channels stay last in memory, as convolutions like them

    def to(self, device: torch.device | str) -> Pixels:
        """The same images on another device."""
        return Pixels(self._pixels.to(device), self._scale)

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return self._pixels.nbytes


class PackedBits:
    """Images of zeros and ones at one bit a pixel, one channel.

    Args:
        array: uint8 ``(N, H * W / 8)``, pixels row by row, the first of eight in the lowest bit
            (``numpy.packbits(..., bitorder="little")``).
        shape: ``(H, W)``.

    Raises:
        InputError: the array has another type or another number of bytes an image.

    >>> PackedBits(np.array([[0b00000001]], np.uint8), (2, 4)).gather(torch.tensor([0])).tolist()
    [[[[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]
    """

    random = False

    def __init__(self, array: Array | Tensor, shape: tuple[int, int]) -> None:
        self._packed = _tensor(array, torch.uint8, (2,), "PackedBits")
        self.shape = (1, *shape)
        if self._packed.shape[1] * 8 != shape[0] * shape[1]:
            raise InputError(
                f"PackedBits: {self._packed.shape[1]} bytes an image; {shape[0]}x{shape[1]} pixels"
                f" take {shape[0] * shape[1] / 8:g}"
            )

    def __len__(self) -> int:
        return len(self._packed)

    def gather(self, index: Tensor, keys: Tensor | None = None) -> Tensor:
        """See `ImageStore.gather`."""
        packed = self._packed.index_select(0, index)
        if packed.device.type == "cpu":  # NumPy's unpackbits is several times faster than shifting
            unpacked = torch.from_numpy(np.unpackbits(packed.numpy(), axis=1, bitorder="little"))
        else:
            unpacked = _shifted_bits(packed)
        return unpacked.view(-1, *self.shape).to(torch.float32)

    def to(self, device: torch.device | str) -> PackedBits:
        """The same images on another device."""
        return PackedBits(self._packed.to(device), self.shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes of the packed pixels."""
        return self._packed.nbytes


class Parts:
    """Images composed of parts: a channel is the sum of a few maps, rounded and clipped.

    ``G`` geometries (what is where) times ``P`` palettes (what has which colour) make ``P * G`` images;
    image ``p * G + g`` has, in channel ``c``, the sum over ``t`` of ``maps[g, palettes[p, c, t]]``.

    Args:
        maps: int16 ``(G, L, H, W)``, in units of 1/64 of a grey level (255 is white). The sums must
            stay within int16, that is within twice white.
        palettes: int64 ``(P, C, T)``, entries in ``0 .. L-1``.

    Raises:
        InputError: an array has another type or number of axes.

    >>> maps = np.array([0, 64 * 255], np.int16).reshape(1, 2, 1, 1)
    >>> Parts(maps, np.array([[[0], [1], [0]]])).gather(torch.tensor([0])).flatten().tolist()
    [0.0, 1.0, 0.0]
    """

    random = False
    UNIT = 64  # map units in a grey level: a sum of maps is exact to well under a level

    def __init__(self, maps: Array | Tensor, palettes: Array | Tensor) -> None:
        self._maps = _tensor(maps, torch.int16, (4,), "Parts (maps)")
        self._palettes = _tensor(palettes, torch.int64, (3,), "Parts (palettes)")
        self._geometries, self._parts, height, width = self._maps.shape
        self.shape = (self._palettes.shape[1], height, width)

    def __len__(self) -> int:
        return len(self._palettes) * self._geometries

    def gather(self, index: Tensor, keys: Tensor | None = None) -> Tensor:
        """See `ImageStore.gather`."""
        palette = torch.div(index, self._geometries, rounding_mode="floor")
        geometry = index - palette * self._geometries
        rows = self._palettes[palette] + (geometry * self._parts).view(-1, 1, 1)  # (B, C, T)
        table = self._maps.flatten(0, 1).flatten(1)
        total = table.index_select(0, rows[..., 0].flatten())
        for term in range(1, rows.shape[2]):
            total += table.index_select(0, rows[..., term].flatten())
        levels = total.add_(self.UNIT // 2).bitwise_right_shift_(6).clamp_(0, 255)
        # Interleaving the channels while they are small is twice as fast as afterwards.
        pixels = torch.stack(levels.view(-1, *self.shape).unbind(1), dim=-1)
        return pixels.to(torch.float32).div_(255).permute(0, 3, 1, 2)

    def to(self, device: torch.device | str) -> Parts:
        """The same images on another device."""
        return Parts(self._maps.to(device), self._palettes.to(device))

    @property
    def nbytes(self) -> int:
        """Bytes of maps and palettes."""
        return self._maps.nbytes + self._palettes.nbytes


def _shifted_bits(packed: Tensor) -> Tensor:
    """The bits of bytes ``(B, K)`` by tensor operations alone: ``(B, K, 8)``, lowest first."""
    return (packed.unsqueeze(2) >> torch.arange(8, dtype=torch.uint8, device=packed.device)) & 1


def _tensor(array: Array | Tensor, dtype: torch.dtype, axes: tuple[int, ...], owner: str) -> Tensor:
    """The array as a tensor that shares its memory, checked."""
    if isinstance(array, Tensor):
        tensor = array
    else:
        with warnings.catch_warnings():  # a read-only map: no store writes to its tensor
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            tensor = torch.from_numpy(array)
    if tensor.dtype != dtype or tensor.ndim not in axes:
        wanted = " or ".join(map(str, axes))
        raise InputError(
            f"{owner}: got {tensor.dtype} of shape {tuple(tensor.shape)}; expected {dtype} with {wanted} axes"
        )
    return tensor
