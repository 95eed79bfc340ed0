"""Reads and checks the official dSprites file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from disentangle.cached import cached_array
from disentangle.datasets._npy import DAMAGED_ZIP, header
from disentangle.errors import DataError
from disentangle.files import file_md5

CHUNK_BYTES = 1 << 24  # read at a time: all images unpacked would be 3 GB


@dataclass(frozen=True)
class Expected:
    """What makes a file the official one.

    Attributes:
        sizes: of the factors, colour included.
        side: of an image in pixels.
        white: white pixels in all images together.
        md5: of the published file; the content decides where a file was saved again.
    """

    sizes: tuple[int, ...]
    side: int
    white: int
    md5: str


# White pixels: the published mean of .042494423521889584 times all pixels.
# The MD5 is a third party's, not verified here.
OFFICIAL = Expected((1, 3, 6, 40, 32, 32), 64, 128_328_862, "7da33b31b13a06f4b04a70402ce90c2e")


def read(path: Path, expected: Expected = OFFICIAL) -> tuple[NDArray[np.uint8], str]:
    """The images packed to bits, ``(N, side * side / 8)``, and the file's MD5.

    The packed images are cached, so that a second start is quick. The member ``metadata`` is a pickle
    and is never touched.

    Raises:
        DataError: the file is damaged, in another form, or not the official one.
    """
    md5 = file_md5(path)
    packed, _ = cached_array(f"dsprites-official-{md5}", lambda: _read_checked(path, expected, md5))
    return packed, md5


def _read_checked(path: Path, expected: Expected, md5: str) -> NDArray[np.uint8]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_order(path, archive, expected)
            packed, white = _pack_images(path, archive, expected)
    except DAMAGED_ZIP as error:
        raise DataError(
            f"{path}: expected a whole .npz file with imgs and latents_classes, found {error!r}"
        ) from error
    if md5 != expected.md5 and white != expected.white:
        raise DataError(
            f"{path}: not the official dSprites file: MD5 {md5}, {white:,} white pixels;"
            f" expected MD5 {expected.md5}, or {expected.white:,} white pixels in a file saved again"
        )
    return packed


def _check_order(path: Path, archive: zipfile.ZipFile, expected: Expected) -> None:
    """The images must be in row-major order over the factors."""
    shape = (prod(expected.sizes), len(expected.sizes))
    for start, classes in _rows(path, archive, "latents_classes", shape, "iu"):
        grid = np.stack(np.unravel_index(np.arange(start, start + len(classes)), expected.sizes), axis=1)
        wrong = (classes != grid).any(axis=1)
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                f"{path}: latents_classes[{start + row}] is {classes[row].tolist()};"
                f" expected {grid[row].tolist()} (row-major order)"
            )


def _pack_images(path: Path, archive: zipfile.ZipFile, expected: Expected) -> tuple[NDArray[np.uint8], int]:
    """The packed images, and how many pixels are white."""
    shape = (prod(expected.sizes), expected.side, expected.side)
    packed, white = np.empty((shape[0], expected.side**2 // 8), np.uint8), 0
    for start, images in _rows(path, archive, "imgs", shape, "u"):
        if images.max() > 1:
            raise DataError(f"{path}: imgs has a pixel of {images.max()}; expected only 0 and 1")
        flat = images.reshape(len(images), -1)
        packed[start : start + len(flat)] = np.packbits(flat, axis=1, bitorder="little")
        white += int(np.count_nonzero(flat))
    return packed, white


def _rows(
    path: Path, archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], kinds: str
) -> Iterator[tuple[int, NDArray[Any]]]:
    """A member's rows in pieces, with the number of each piece's first row; the form is checked first."""
    with archive.open(f"{name}.npy") as member:
        dtype, order = _check_header(path, member, name, shape, kinds)
        row_bytes = prod(shape[1:]) * dtype.itemsize
        step = max(1, CHUNK_BYTES // row_bytes) if order == "C" else shape[0]  # columns come whole
        for start in range(0, shape[0], step):
            size = min(step, shape[0] - start) * row_bytes
            content = member.read(size)
            if len(content) != size:
                raise DataError(f"{path}: {name} ends after {start:,} rows or more; expected {shape[0]:,}")
            yield start, np.frombuffer(content, dtype).reshape(-1, *shape[1:], order=order)
        if member.read(1):
            raise DataError(f"{path}: {name} goes on after its {shape[0]:,} rows")


def _check_header(
    path: Path, member: IO[bytes], name: str, shape: tuple[int, ...], kinds: str
) -> tuple[np.dtype[Any], Literal["C", "F"]]:
    """The element type and the order of the elements, if the form is the one expected."""
    found, columns_first, dtype = header(path, member, name)
    if found != shape or dtype.kind not in kinds or (kinds == "u" and dtype.itemsize != 1):
        wanted = "bytes (uint8)" if kinds == "u" else "integers"
        raise DataError(f"{path}: {name} is {dtype} {found}; expected {wanted} {shape}")
    return dtype, "F" if columns_first else "C"
