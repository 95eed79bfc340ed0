"""Reads an array of bytes in a MATLAB file of version 5, by the format's description ("MAT-File Format").

SciPy reads such files, too, but of one whose tags are damaged it may use memory that is not there, which
ends the process. Here every length is compared with what there is.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle.errors import DataError

HEADER = 128  # bytes at the beginning: text, then version and byte order
INT8, UINT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 2, 5, 6, 14, 15  # kinds of elements
CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single", 8: "int8"}
CLASSES |= {9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64", 15: "uint64"}
FLAGS = {0x800: "complex", 0x200: "logical"}
NO_SIZES = 17  # the class of arrays ("opaque") that have none
MOST_AXES = 32
SLACK = 1 << 16  # what tags and a name may add to an array's bytes


class Array(NamedTuple):
    """An array's name, what it holds, its sizes, whether it is whole, and the elements that follow these."""

    name: str
    kind: str
    shape: tuple[int, ...]
    whole: bool
    rest: Iterator[tuple[int, bytes]]


def read_bytes(where: str, content: bytes, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The variable of a name, if it is an array of bytes (uint8) of a shape; nothing else is looked at.

    Args:
        where: the file, for messages.
        content: the whole file.
        name: of the variable.
        shape: that it must have.

    Raises:
        DataError: the file is damaged or of another kind, or the variable is another one.
    """
    try:
        array = _find(content, name, prod(shape) + SLACK)
        if (array.kind, array.shape) == ("uint8", shape):
            kind, pixels = next(array.rest, (0, b""))
            if not array.whole or (kind, len(pixels)) != (UINT8, prod(shape)):
                raise ValueError(
                    f"{name} has {len(pixels)} bytes of kind {kind}, not {prod(shape)} of {UINT8}"
                )
            return np.frombuffer(pixels, np.uint8).reshape(shape, order="F")
    except (ValueError, zlib.error) as error:
        raise DataError(f"{where}: expected a MATLAB file (version 5), but {error}") from error
    raise DataError(f"{where}: {name} is {array.kind} {array.shape}; expected uint8 {shape}")


def _find(content: bytes, name: str, most: int) -> Array:
    """The first variable of that name; of a compressed one no more than ``most`` bytes are looked at."""
    if len(content) < HEADER:
        raise ValueError(f"it has {len(content)} bytes")
    version, order = struct.unpack_from("<H2s", content, HEADER - 4)
    if order == b"MI":
        raise ValueError("it is big-endian, which is not read here")
    if (version, order) != (0x0100, b"IM"):
        raise ValueError(f"its version is {version:#06x} and its byte order {order!r}, not 0x0100 and b'IM'")
    arrays = (_array(kind, element, most) for kind, element in _elements(content[HEADER:]))
    return next((array for array in arrays if array.name == name), Array(name, "missing", (), True, iter(())))


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The kinds and contents of the elements that lie one after the other."""
    start = 0
    while start < len(content):
        if len(content) - start < 8:
            raise ValueError("it ends within a tag")
        kind, size = struct.unpack_from("<II", content, start)
        if kind >> 16:  # a small element: its size beside the kind, its content in place of the size
            kind, size, begin, end = kind & 0xFFFF, kind >> 16, start + 4, start + 8
            following = end
        else:
            begin, end = start + 8, len(content)
            following = begin + size + (0 if kind == COMPRESSED else -size % 8)
        if size > end - begin:
            raise ValueError(f"an element of {size} bytes is in the place of {end - begin}")
        yield kind, content[begin : begin + size]
        start = following


def _array(kind: int, matrix: bytes, most: int) -> Array:
    """The description of an array, in which each part must be of the kind that the format says."""
    whole = True
    if kind == COMPRESSED:
        unpacking = zlib.decompressobj()
        inner = unpacking.decompress(matrix, most)
        kind, size = struct.unpack("<II", inner[:8].ljust(8, b"\0"))
        matrix, whole = inner[8 : 8 + size], unpacking.eof and 8 + size <= len(inner)
    if kind != MATRIX:
        raise ValueError(f"a variable is of kind {kind}, no array ({MATRIX})")
    parts = _elements(matrix)
    flags, _ = struct.unpack("<II", _part(parts, UINT32, 8))
    sizes = b"" if flags & 0xFF == NO_SIZES else _part(parts, INT32, 4 * MOST_AXES)
    shape = tuple(size for (size,) in struct.iter_unpack("<i", sizes[: len(sizes) // 4 * 4]))
    name = _part(parts, INT8, SLACK).decode("latin-1")
    holds = [word for flag, word in FLAGS.items() if flags & flag] + [CLASSES.get(flags & 0xFF, "unknown")]
    return Array(name, " ".join(holds), shape, whole, parts)


def _part(parts: Iterator[tuple[int, bytes]], wanted: int, most: int) -> bytes:
    """The next part of an array's description."""
    kind, content = next(parts, (0, b""))
    if kind != wanted or len(content) > most or (wanted == UINT32 and len(content) != most):
        raise ValueError(f"an array's description has {len(content)} bytes of kind {kind}, not of {wanted}")
    return content
