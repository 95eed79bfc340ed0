"""Reads and checks the official MPI3D files, up to 12.7 GB, without ever holding one in memory."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle.cached import cached_chunks
from disentangle.datasets._checksums import kept
from disentangle.datasets._npy import DAMAGED_ZIP, header, member_begin
from disentangle.errors import DataError
from disentangle.files import file_md5, reading

MEMBER = "images.npy"
CHUNK_BYTES = 1 << 24


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


class Form(NamedTuple):
    """What a file says of its images.

    Attributes:
        sizes: of the factors.
        shape: of the array.
        begin: where the member with the images begins in the file; None where it is compressed.
        head: bytes of the member before the first image.
        crc: of the member.
    """

    sizes: tuple[int, ...]
    shape: tuple[int, ...]
    begin: int | None
    head: int
    crc: int


def read(path: Path, expected: Expected) -> Found:
    """Check a file and map its images.

    The published files are stored without compression, so that the images are mapped from where they lie.
    A compressed one is unpacked once into the data folder. To check a file it is read through once (a
    compressed one twice); later that is only done again when its size or time has changed, see
    `disentangle.datasets._checksums`.

    Raises:
        DataError: the file is damaged or in another form.
    """
    with reading(path):
        state = path.stat()
    form = _form(path, expected)
    md5, sha256 = _checksums(path, form, state.st_size, state.st_mtime_ns)
    known = md5 == expected.md5 or sha256 == expected.sha256
    if form.begin is None:
        images, _ = cached_chunks(f"mpi3d-{md5}", form.shape, np.uint8, lambda: _chunks(path, form.shape))
    else:
        with reading(path):
            images = np.memmap(path, np.uint8, "r", form.begin + form.head, form.shape)
    return Found(images, form.sizes, md5, known)


def _form(path: Path, expected: Expected) -> Form:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(MEMBER) as member:
            shape = _shape(path, member)
            info, head = archive.getinfo(MEMBER), member.tell()
    except DAMAGED_ZIP as error:
        raise DataError(f"{path}: expected a whole .npz file with images, found {error!r}") from error
    sizes = {prod(layout): layout for layout in expected.layouts}
    if shape[0] not in sizes or shape[1:] != (expected.side, expected.side, 3):
        counts = " or ".join(f"({count}, {expected.side}, {expected.side}, 3)" for count in sizes)
        raise DataError(f"{path}: images has the shape {shape}; expected {counts}")
    if info.file_size != head + prod(shape):
        raise DataError(
            f"{path}: images takes {info.file_size - head:,} bytes; expected {prod(shape):,} of {shape}"
        )
    begin = member_begin(path, info) if info.compress_type == zipfile.ZIP_STORED else None
    return Form(sizes[shape[0]], shape, begin, head, info.CRC)


def _shape(path: Path, member: IO[bytes]) -> tuple[int, ...]:
    """The shape that the array's header states, if its elements are bytes in row-major order."""
    shape, columns_first, dtype = header(path, member, "images")
    if dtype != np.uint8 or columns_first or len(shape) != 4:
        order = "column-major" if columns_first else "row-major"
        raise DataError(f"{path}: images is {dtype} {shape}, {order}; expected uint8 (N, H, W, 3), row-major")
    return shape


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
    except DAMAGED_ZIP as error:
        raise DataError(f"{path}: expected a whole .npz file with images, found {error!r}") from error


@cache  # where the data folder cannot be written, once per process at least
def _checksums(path: Path, form: Form, size: int, mtime_ns: int) -> tuple[str, str]:
    """The MD5 of the file and the SHA-256 of its member."""
    return kept(path, size, mtime_ns, lambda: _computed(path, form))


def _computed(path: Path, form: Form) -> tuple[str, str]:
    """The checksums; the member's CRC-32 is compared on the way."""
    md5, sha256, crc = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    if form.begin is None:
        for content in _pieces(path, CHUNK_BYTES, header=True):
            sha256.update(content)
        return file_md5(path), sha256.hexdigest()
    begin, done = form.begin, 0
    end = begin + form.head + prod(form.shape)
    with reading(path), path.open("rb") as file:
        while content := file.read(CHUNK_BYTES):
            md5.update(content)
            part = memoryview(content)[max(0, begin - done) : max(0, end - done)]
            sha256.update(part)
            crc = zlib.crc32(part, crc)
            done += len(content)
    if crc != form.crc:
        raise DataError(f"{path}: {MEMBER} has the CRC-32 {crc:#010x}; expected {form.crc:#010x}")
    return md5.hexdigest(), sha256.hexdigest()
