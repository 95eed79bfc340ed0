"""Reads and checks the six official SmallNORB files."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from disentangle.cached import cached_array
from disentangle.datasets._resize import resize
from disentangle.errors import DataError
from disentangle.files import data_folder, file_md5, find_file, reading

SETS = ("smallnorb-5x46789x9x18x6x2x96x96-training", "smallnorb-5x01235x9x18x6x2x96x96-testing")
STEMS = tuple(f"{name}-{part}" for name in SETS for part in ("dat", "cat", "info"))
BYTES, INTEGERS = 0x1E3D4C55, 0x1E3D4C54
KINDS: dict[int, np.dtype[Any]] = {BYTES: np.dtype("u1"), INTEGERS: np.dtype("<i4")}
COLUMNS = ("category", "instance", "elevation", "azimuth", "lighting")
CHUNK_BYTES = 1 << 24  # read at a time: all images unpacked would be 900 MB
CACHE = "smallnorb-1"  # the number rises when the images change


@dataclass(frozen=True)
class Expected:
    """What makes the files the official ones.

    Attributes:
        sizes: of category, instance, elevation, azimuth and lighting; half the instances are in either set.
        side: of an image in pixels.
        md5: per file name.
        small: side of the images made from them.
    """

    sizes: tuple[int, int, int, int, int]
    side: int
    md5: Mapping[str, str] = field(default_factory=dict)
    small: int = 64

    @property
    def rows(self) -> int:
        """The images in one set."""
        return prod(self.sizes) // len(SETS)


# Third parties': all in mhw32/meta-inference-public (src/datasets/norb.py), which shares them with several
# repositories; those of the .gz files in nmichlo/disent as well. Not verified here, but for three unpacked
# files that tests rebuild byte for byte from what is known of them: both -cat and the testing -info.
MD5 = {
    f"{STEMS[0]}.mat.gz": "66054832f9accfe74a0f4c36a75bc0a2",
    f"{STEMS[1]}.mat.gz": "23c8b86101fbf0904a000b43d3ed2fd9",
    f"{STEMS[2]}.mat.gz": "51dee1210a742582ff607dfd94e332e3",
    f"{STEMS[3]}.mat.gz": "e4ad715691ed5a3a5f138751a4ceb071",
    f"{STEMS[4]}.mat.gz": "5aa791cd7e6016cf957ce9bdb93b8603",
    f"{STEMS[5]}.mat.gz": "a9454f3864d7fd4bb3ea7fc3eb84924e",
    f"{STEMS[0]}.mat": "8138a0902307b32dfa0025a36dfa45ec",
    f"{STEMS[1]}.mat": "fd5120d3f770ad57ebe620eb61a0b633",
    f"{STEMS[2]}.mat": "19faee774120001fc7e17980d6960451",
    f"{STEMS[3]}.mat": "e9920b7f7b2869a8f1a12e945b2c166c",
    f"{STEMS[4]}.mat": "fd5120d3f770ad57ebe620eb61a0b633",  # the same categories in turn
    f"{STEMS[5]}.mat": "7c5b871cc69dcadec1bf6a18141f5edc",
}
OFFICIAL = Expected((5, 10, 9, 18, 6), 96, MD5)


def find(path: str | os.PathLike[str] | None, how: str) -> dict[str, Path]:
    """The six files by stem, all from one folder, each ``.mat.gz`` or unpacked ``.mat``.

    Args:
        path: the folder, or one of the files in it; without it both are searched for, see
            `disentangle.files.find_file`.
        how: how to get the files, for the message.

    Raises:
        DataError: the path is neither, or one of the files is not there.
    """
    names = {stem: (f"{stem}.mat.gz", f"{stem}.mat") for stem in STEMS}
    if path is None:
        first = find_file([name for both in names.values() for name in both])
        folder = data_folder() if first is None else first.parent
    else:
        named = Path(path).expanduser()
        if not named.is_dir() and not (named.is_file() and named.name in MD5):
            raise DataError(f"{named}: expected a folder of SmallNORB's six files, or one of them; {how}")
        folder = named if named.is_dir() else named.parent
    files = {
        stem: next((folder / name for name in both if (folder / name).is_file()), None)
        for stem, both in names.items()
    }
    missing = [f"{stem}.mat.gz" for stem, file in files.items() if file is None]
    if len(missing) == len(files):
        raise DataError(f"{folder} has none of SmallNORB's six files; {how}")
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"{folder} lacks {missing[0]}{more} of SmallNORB's six files; {how}")
    return {stem: file for stem, file in files.items() if file is not None}


def read(
    files: Mapping[str, Path], expected: Expected = OFFICIAL
) -> tuple[NDArray[np.uint8], str, dict[str, str]]:
    """The images, what they are known by, and the files that are not the official ones.

    Args:
        files: from `find`.
        expected: what they must be.

    Returns:
        The first camera's images ``(N, small, small)``, sorted by category, elevation, azimuth, lighting and
        then instance; cached in the data folder. Then the SHA-256 of these, and the MD5 per file that has
        another than expected.

    Raises:
        DataError: a file is damaged or in another form, or a combination of factors is missing or double.
    """
    md5 = {file.name: file_md5(file) for file in files.values()}
    joined = hashlib.md5("".join(md5.values()).encode(), usedforsecurity=False).hexdigest()
    images, sha256 = cached_array(f"{CACHE}-{joined}", lambda: _read_checked(files, expected))
    return images, sha256, {name: found for name, found in md5.items() if found != expected.md5.get(name)}


def _read_checked(files: Mapping[str, Path], expected: Expected) -> NDArray[np.uint8]:
    from tqdm import tqdm

    numbers = _numbers(files, expected)
    images = np.empty((len(numbers), expected.small, expected.small), np.uint8)
    shape, done = (expected.rows, 2, expected.side, expected.side), 0
    with tqdm(total=len(numbers), desc="resizing SmallNORB", disable=None, leave=False) as bar:
        for name in SETS:
            for pairs in _matrix(files[f"{name}-dat"], BYTES, shape):
                images[numbers[done : done + len(pairs)]] = resize(pairs[:, 0], expected.small)
                done += len(pairs)
                bar.update(len(pairs))
    return images


def _numbers(files: Mapping[str, Path], expected: Expected) -> NDArray[np.int64]:
    """The place of each image in the sorted order; every combination of factors must be there once."""
    factors = np.concatenate([_factors(files, name, expected) for name in SETS])
    order = [0, 2, 3, 4, 1]  # the instance last: it is no factor
    sizes = tuple(expected.sizes[column] for column in order)
    numbers = np.ravel_multi_index(tuple(factors[:, order].T), sizes)
    counts = np.bincount(numbers, minlength=prod(sizes))
    if (counts != 1).any():
        wrong = int((counts > 1).argmax() if (counts > 1).any() else (counts != 1).argmax())
        at = zip((COLUMNS[column] for column in order), np.unravel_index(wrong, sizes), strict=True)
        where = ", ".join(f"{name} {value}" for name, value in at)
        folder = files[STEMS[0]].parent
        raise DataError(f"{folder}: found {counts[wrong]} images of {where} in the info files; expected 1")
    return np.asarray(numbers, np.int64)


def _factors(files: Mapping[str, Path], name: str, expected: Expected) -> NDArray[np.int64]:
    """Category, instance, elevation, azimuth and lighting of one set's images, as indices ``(rows, 5)``."""
    category = np.concatenate(list(_matrix(files[f"{name}-cat"], INTEGERS, (expected.rows,))))
    info = np.concatenate(list(_matrix(files[f"{name}-info"], INTEGERS, (expected.rows, 4))))
    factors = np.column_stack((category, info)).astype(np.int64)
    sizes, steps = np.array(expected.sizes), np.array([1, 1, 1, 2, 1])  # the azimuth in tens of degrees, even
    wrong = (factors < 0) | (factors >= sizes * steps) | (factors % steps != 0)
    if wrong.any():
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        file = files[f"{name}-{'info' if column else 'cat'}"]
        even = "an even number of " if steps[column] > 1 else ""
        raise DataError(
            f"{file}: {COLUMNS[column]} of image {row} is {factors[row, column]};"
            f" expected {even}0..{(sizes[column] - 1) * steps[column]}"
        )
    return np.asarray(factors // steps, np.int64)


def _matrix(path: Path, magic: int, shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """The rows of a binary matrix in pieces; the header is checked first.

    The format: little-endian int32 magic number (the kind of elements), number of dimensions n and max(3, n)
    dimensions, then the elements, the last dimension fastest.
    """
    with _opened(path) as file:
        _check_header(path, file, magic, shape)
        row_bytes = prod(shape[1:]) * KINDS[magic].itemsize
        step = max(1, CHUNK_BYTES // row_bytes)
        for start in range(0, shape[0], step):
            size = min(step, shape[0] - start) * row_bytes
            content = _content(path, file, size)
            if len(content) != size:
                raise DataError(f"{path}: ends after {start:,} rows or more; expected {shape[0]:,}")
            yield np.frombuffer(content, KINDS[magic]).reshape(-1, *shape[1:])
        if _content(path, file, 1):
            raise DataError(f"{path}: goes on after its {shape[0]:,} rows")


def _check_header(path: Path, file: IO[bytes], magic: int, shape: tuple[int, ...]) -> None:
    size = 8 + 4 * max(3, len(shape))
    header = np.frombuffer(_content(path, file, size).ljust(size, b"\0"), "<i4")
    found, dimensions, sizes = int(header[0]), int(header[1]), header[2 : 2 + len(shape)].tolist()
    if (found, dimensions, sizes) != (magic, len(shape), list(shape)):
        raise DataError(
            f"{path}: begins with magic number {found:#010x}, {dimensions} dimensions, sizes {sizes};"
            f" expected {magic:#010x}, {len(shape)}, {list(shape)}"
        )


def _opened(path: Path) -> IO[bytes]:
    with reading(path):
        # GzipFile reads and closes as a file does, which its type does not say.
        return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _content(path: Path, file: IO[bytes], size: int) -> bytes:
    try:
        return file.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a whole .mat or .mat.gz file, found {error!r}") from error
