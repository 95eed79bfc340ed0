"""Reads and checks the official MPI3D files, up to 12.7 GB, without ever holding one in memory."""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from disentangle.cached import cached_chunks
from disentangle.datasets._npy import header
from disentangle.errors import DataError
from disentangle.files import file_md5

MEMBER = "images.npy"
CHUNK_BYTES = 1 << 24
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Expected:
    """What a file must be.

    Attributes:
        layouts: the sizes of the factors it may have; told apart by the number of images.
        md5: of the published file, if known.
        sha256: of the member with the images in the published file, if known.
        side: of an image in pixels.
    """

    layouts: tuple[tuple[int, ...], ...]
    md5: str = ""
    sha256: str = ""
    side: int = 64


@dataclass(frozen=True)
class Found:
    """What a file is.

    Attributes:
        images: ``(N, side, side, 3)``, mapped from the file itself or, where it is compressed, from the
            data folder.
        sizes: of the factors.
        md5: of the file.
        known: whether the file or its member has the published checksum.
    """

    images: NDArray[np.uint8]
    sizes: tuple[int, ...]
    md5: str
    known: bool


def read(path: Path, expected: Expected) -> Found:
    """Check a file and map its images.

    The published files are stored without compression, so that the images are mapped from where they lie.
    A compressed one is unpacked once into the data folder. A process reads through a file once to check it.

    Raises:
        DataError: the file is damaged or in another form.
    """
    sizes, shape, offset = _form(path, expected)
    state = path.stat()
    md5 = _md5(path, state.st_size, state.st_mtime_ns)
    if offset is None:
        images, _ = cached_chunks(f"mpi3d-{md5}", shape, np.uint8, lambda: _chunks(path, shape))
        return Found(images, sizes, md5, known=md5 == expected.md5)
    known = md5 == expected.md5
    if not known:
        sha256 = _sha256_of_member(path, state.st_size, state.st_mtime_ns)
        known = sha256 == expected.sha256
    return Found(np.memmap(path, np.uint8, "r", offset, shape), sizes, md5, known)


def _form(path: Path, expected: Expected) -> tuple[tuple[int, ...], tuple[int, ...], int | None]:
    """The sizes of the factors, the shape of the array and where in the file it lies, if uncompressed."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(MEMBER) as member:
            shape = _shape(path, member)
            info, start = archive.getinfo(MEMBER), member.tell()
    except DAMAGE as error:
        raise DataError(f"{path}: expected a whole .npz file with images, found {error!r}") from error
    sizes = {prod(layout): layout for layout in expected.layouts}
    if shape[0] not in sizes or shape[1:] != (expected.side, expected.side, 3):
        counts = " or ".join(f"({count}, {expected.side}, {expected.side}, 3)" for count in sizes)
        raise DataError(f"{path}: images has the shape {shape}; expected {counts}")
    if info.file_size != start + prod(shape):
        raise DataError(
            f"{path}: images takes {info.file_size - start:,} bytes; expected {prod(shape):,} of {shape}"
        )
    if info.compress_type != zipfile.ZIP_STORED:
        return sizes[shape[0]], shape, None
    return sizes[shape[0]], shape, _start_of(path, info) + start


def _shape(path: Path, member: IO[bytes]) -> tuple[int, ...]:
    """The shape that the array's header states, if its elements are bytes in row-major order."""
    shape, columns_first, dtype = header(path, member, "images")
    if dtype != np.uint8 or columns_first or len(shape) != 4:
        order = "column-major" if columns_first else "row-major"
        raise DataError(f"{path}: images is {dtype} {shape}, {order}; expected uint8 (N, H, W, 3), row-major")
    return shape


def _start_of(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a stored member's content begins: after its local header, a name and a field of any length."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(30)
    if len(header) != 30 or header[:4] != b"PK\3\4":
        raise DataError(
            f"{path}: found no header of {MEMBER} at {info.header_offset:,}; expected a whole .npz"
        )
    name, extra = struct.unpack("<HH", header[26:])
    start: int = info.header_offset + 30 + name + extra
    return start


def _chunks(path: Path, shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """The images in runs, decompressed one after the other."""
    from tqdm import tqdm

    image_bytes = prod(shape[1:])
    step = max(1, CHUNK_BYTES // image_bytes)
    with tqdm(total=shape[0], desc="unpacking MPI3D", disable=None, leave=False) as bar:
        for content in _pieces(path, step * image_bytes, header=False):
            yield np.frombuffer(content, np.uint8).reshape(-1, *shape[1:])
            bar.update(len(content) // image_bytes)


def _pieces(path: Path, size: int, header: bool) -> Iterator[bytes]:
    """The member's content in pieces; zipfile compares its length and checksum (CRC-32) at the end."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(MEMBER) as member:
            if not header:
                _shape(path, member)
            while content := member.read(size):
                yield content
    except DAMAGE as error:
        raise DataError(f"{path}: expected a whole .npz file with images, found {error!r}") from error


@cache  # once per process, and again when the file's size or time has changed
def _md5(path: Path, size: int, modified: int) -> str:
    return file_md5(path)


@cache
def _sha256_of_member(path: Path, size: int, modified: int) -> str:
    digest = hashlib.sha256()
    for content in _pieces(path, CHUNK_BYTES, header=True):
        digest.update(content)
    return digest.hexdigest()
