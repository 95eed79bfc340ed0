"""Reads the arrays of a user's .npz without unpickling; images are mapped from it where they can be."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle.datasets._npy import DAMAGED_ZIP, header, member_begin
from disentangle.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_BYTES = 1 << 24  # read at a time
FORM = "an .npz with images (N, H, W) or (N, H, W, C) and factors (N, F)"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive to read from; its damage is told with its name, wherever it shows.

    Raises:
        DataError: the file is no archive, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DAMAGED_ZIP as error:
        raise DataError(f"{path} is not a whole .npz ({error}); expected {FORM}") from None


def head(path: Path, archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Of a member's array the shape, whether columns come first, the type, and where the elements begin.

    Raises:
        DataError: the member is no array, one of Python objects, or not as long as it says.
    """
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        shape, columns_first, dtype = header(path, member, name)
        start = member.tell()
    if dtype.hasobject:
        raise DataError(
            f"{path}: {name} holds Python objects, which are never unpickled; expected plain numbers"
        )
    if info.file_size != start + prod(shape) * dtype.itemsize:
        raise DataError(
            f"{path}: {name} takes {info.file_size - start:,} bytes; expected "
            f"{prod(shape) * dtype.itemsize:,} of {dtype} {shape}"
        )
    return shape, columns_first, dtype, start


def array(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """A member's array, in memory.

    Raises:
        DataError: as `head`, or its content is not what its checksum says.
    """
    head(path, archive, name)
    with archive.open(f"{name}.npy") as member:
        try:
            return np.asarray(np.lib.format.read_array(member, allow_pickle=False))
        except ValueError as error:
            raise DataError(f"{path}: {name} is no NumPy array ({error})") from None


def mapped(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """A member's array of bytes, mapped from the file if it is uncompressed; others in memory.

    Raises:
        DataError: as `array`.
    """
    shape, columns_first, dtype, start = head(path, archive, name)
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED or dtype.itemsize > 1 or columns_first or not prod(shape):
        return array(path, archive, name)
    with archive.open(info) as member:
        while member.read(CHUNK_BYTES):  # at the end it compares the checksum, CRC-32
            pass
    return np.memmap(path, dtype, "r", member_begin(path, info) + start, shape)
