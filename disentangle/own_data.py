"""A user's own images: arrays of any factors become a `FactorData`, and an .npz that studies find.

The .npz has the members

- ``images``: uint8 ``(N, H, W)`` or ``(N, H, W, C)``, or another form that `checked` takes;
- ``factors``: ``(N, F)``, whole numbers or texts, one row an image;
- ``factor_names``, optional: F texts;
- ``values_<factor name>``, optional: of a factor what its distinct values, in ascending order, stand for;
- ``note``, optional: one text, what a reader of a table should know of the images.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle import find
from disentangle.data import FactorData
from disentangle.errors import InputError
from disentangle.files import whole_file
from disentangle.images import Pixels
from disentangle.own_factors import coded, named, valued

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CHUNK_BYTES = 1 << 24  # converted or hashed at a time
MOST_CELLS = 1 << 26  # splits and pairs keep some numbers per combination
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Own:
    """A user's images and factors, checked and in order.

    Attributes:
        images: uint8 ``(N, H, W, C)``, in row-major order of the factors.
        scale: the pixel value that means 1: 255, or 1 for images of zeros and ones.
        cells: the number of each image's combination of values in row-major order, int64 ``(N,)``.
        factor_names: F names.
        factor_values: per factor what its indices stand for.
        note: for readers of tables.
    """

    images: NDArray[np.uint8]
    scale: int
    cells: NDArray[np.int64]
    factor_names: tuple[str, ...]
    factor_values: tuple[NDArray[Any], ...]
    note: str

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of values of each factor."""
        return tuple(len(values) for values in self.factor_values)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of images, factors and their names, alike for every order of rows and coding."""
        head = [self.images.shape, self.scale, self.factor_names, self.sizes]
        digest = hashlib.sha256(json.dumps(head).encode())
        digest.update(self.cells.astype("<i8").data)
        for piece in _pieces(self.images):
            digest.update(np.ascontiguousarray(piece).data)
        return f"sha256:{digest.hexdigest()}"

    def data(self, name: str) -> FactorData:
        """The data set, under a name.

        Raises:
            InputError: the name is empty, or that of a data set that comes with the suite.
        """
        if not name or name in find.names("dataset"):
            raise InputError(
                f"name is {name!r}; expected one that no data set of the suite has: "
                f"not {', '.join(find.names('dataset'))}"
            )
        full = len(self.cells) == math.prod(self.sizes) and bool((np.diff(self.cells) == 1).all())
        store, cells = Pixels(self.images, self.scale), None if full else self.cells
        return FactorData(
            name, self.factor_names, self.factor_values, store, "user", self.checksum, self.note, cells=cells
        )


def checked(
    images: ArrayLike,
    factors: ArrayLike,
    *,
    factor_names: Sequence[str] | None = None,
    factor_values: Sequence[ArrayLike | None] | None = None,
    note: str = "",
    size: int | None = None,
) -> Own:
    """Check a user's arrays and bring them into the suite's order; see `FactorData.from_arrays`.

    Raises:
        InputError: naming the argument, what was found and what was expected.
    """
    table = np.asarray(factors)
    if table.ndim != 2 or not table.size:
        hint = "; a single column is factors[:, None]" if table.ndim == 1 else ""
        raise InputError(f"factors has shape {table.shape}; expected (N, F), one row an image{hint}")
    pixels = _shaped(np.asarray(images))
    if len(pixels) != len(table):
        raise InputError(
            f"images has {len(pixels)} images and factors {len(table)} rows; expected one row an image"
        )
    names = named(factor_names, table.shape[1])
    codes, distinct = coded(table, names)
    values = valued(factor_values, names, distinct)
    sizes = tuple(map(len, values))
    if math.prod(sizes) > MOST_CELLS:
        raise InputError(
            f"factors has columns of {sizes} values, which combine to {math.prod(sizes):,}; expected at most "
            f"{MOST_CELLS:,} combinations. Leave out a column, or join values of one"
        )
    cells = np.ravel_multi_index(tuple(codes.T), sizes).astype(np.int64)
    pixels, scale, said = _eight_bits(pixels, size)
    if (np.diff(cells) < 0).any():
        order = np.argsort(cells, kind="stable")  # of several images of a cell the first stays first
        cells, pixels = cells[order], pixels[order]
    return Own(pixels, scale, cells, names, values, " ".join(filter(None, [note.strip(), *said])))


def save(path: str | Path, images: ArrayLike, factors: ArrayLike, **options: Any) -> Path:
    """Check images and factors and write them as an .npz, whole or not at all; returns its path.

    The file holds the images in row-major order and uncompressed, so that processes can share them.

    Args:
        path: the file, ``<name>.npz``.
        images, factors, options: see `FactorData.from_arrays`; all but ``name``.

    Raises:
        InputError: the arrays cannot be used, or the path does not end with ``.npz``.

    >>> import tempfile
    >>> from disentangle.own_files import read
    >>> path = save(f"{tempfile.mkdtemp()}/own.npz", np.eye(4)[:, :, None], [[3], [1], [5], [8]])
    >>> read(path).factor_values
    (array([1, 3, 5, 8]),)
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise InputError(f"path is {str(path)!r}; expected a name that ends with .npz")
    write(path, checked(images, factors, **options))
    return path


def write(path: Path, own: Own) -> None:
    """Write checked images to an .npz, whole or not at all."""
    members: dict[str, Any] = {
        "images": own.images,
        "factors": np.stack(np.unravel_index(own.cells, own.sizes), axis=1),
        "factor_names": np.array(own.factor_names),
        **{f"values_{n}": v for n, v in zip(own.factor_names, own.factor_values, strict=True)},
        **({"note": np.array(own.note)} if own.note else {}),
    }
    with whole_file(path) as file:
        np.savez(file, **members)


def _shaped(array: NDArray[Any]) -> NDArray[Any]:
    """Images as ``(N, H, W, C)``."""
    shape = array.shape
    if array.dtype.kind not in "biuf":
        raise InputError(f"images has dtype {array.dtype}; expected uint8, 0..255, or floats in [0, 1]")
    if array.ndim not in (3, 4) or not array.size:
        raise InputError(f"images has shape {shape}; expected (N, H, W) or (N, H, W, C)")
    if array.ndim == 3:
        return array[..., None]
    if shape[3] not in (1, 3):
        first = "; move the channels last with images.transpose(0, 2, 3, 1)" if shape[1] in (1, 3) else ""
        raise InputError(
            f"images has shape {shape}, {shape[3]} channels; expected (N, H, W, C) with C 1 or 3{first}"
        )
    return array


def _eight_bits(array: NDArray[Any], size: int | None) -> tuple[NDArray[np.uint8], int, list[str]]:
    """The images as uint8, the value that means 1, and what was done to them."""
    said = []
    if floats := array.dtype.kind == "f":
        said.append("Its pixels were floats in [0, 1] and are rounded to 8 bits.")
    pixels = _rounded(array) if floats else _whole(array)
    high = int(pixels.max())
    height, width = array.shape[1:3]
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise InputError(f"size is {size!r}; expected a whole number of pixels from 1")
    if resized := size is not None and (height, width) != (size, size):
        from disentangle.datasets._resize import resize

        spread = pixels * np.uint8(255) if high == 1 and not floats else pixels
        small = resize(spread[..., 0] if spread.shape[3] == 1 else spread, size or 0)
        pixels = small.reshape(len(small), size, size, -1)
        high = int(pixels.max())
        said.append(f"Resized from {height}x{width} to {size}x{size} pixels (Lanczos).")
    if high == 1 and (floats or resized):
        raise InputError("images has no pixel above 1/255 of white; expected images that are not black")
    return pixels, 255 if high > 1 else 1, said


def _whole(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype.itemsize == 1 and array.dtype.kind in "bu":
        return array.view(np.uint8)  # a map of a file stays one
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        raise InputError(
            f"images has the pixel {low if low < 0 else high}; expected 0..255, or zeros and ones, or floats "
            "in [0, 1]"
        )
    return array.astype(np.uint8)


def _rounded(array: NDArray[Any]) -> NDArray[np.uint8]:
    done = np.empty(array.shape, np.uint8)
    start = 0
    for piece in _pieces(array):
        bad = ~((piece >= 0) & (piece <= 1))  # also where it is not a number
        if bad.any():
            image = start + int(np.argwhere(bad)[0, 0])
            raise InputError(
                f"images has the pixel {piece[bad][0]} in image {image}; expected floats in [0, 1], or uint8 "
                "in 0..255"
            )
        done[start : start + len(piece)] = np.rint(piece * 255)
        start += len(piece)
    return done


def _pieces(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Views of the array's rows, some megabytes each."""
    rows = max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    return [array[start : start + rows] for start in range(0, len(array), rows)]
