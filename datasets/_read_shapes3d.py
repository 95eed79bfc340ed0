"""Reads and checks the official 3DShapes file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle.cached import cached_chunks
from disentangle.errors import DataError
from disentangle.files import file_md5


@dataclass(frozen=True)
class Expected:
    """What makes a file the official one.

    Attributes:
        values: per factor, the labels in order.
        side: of an image in pixels.
        means: of the three channels, in [0, 1].
        md5: of the published file; the content decides where a file was saved again.
    """

    values: tuple[NDArray[np.float64], ...]
    side: int
    means: tuple[float, float, float]
    md5: str

    @property
    def labels(self) -> NDArray[np.float64]:
        """The labels of all images in row-major order, ``(N, F)``."""
        return np.stack(np.meshgrid(*self.values, indexing="ij"), axis=-1).reshape(-1, len(self.values))


HUES = np.arange(10) / 10
OFFICIAL = Expected(
    (HUES, HUES, HUES, np.linspace(0.75, 1.25, 8), np.arange(4.0), np.linspace(-30, 30, 15)),
    64,
    (0.502585, 0.578760, 0.603450),
    "099a2078d58cec4daad0702c55d06868",  # a third party's, not verified here
)
LABEL_TOLERANCE = 1e-6
MEAN_TOLERANCE = 5e-6
CHUNK_BYTES = 1 << 25


def read(path: Path, expected: Expected = OFFICIAL) -> tuple[NDArray[np.uint8], str]:
    """The images ``(N, side, side, 3)`` and the file's MD5.

    HDF5 keeps them compressed, too slow to read at random: they are unpacked once into the data folder and
    mapped from there; where there is no room, they are held in memory.

    Raises:
        DataError: the file is damaged, in another form, or not the official one.
    """
    md5 = file_md5(path)
    shape = (prod(map(len, expected.values)), expected.side, expected.side, 3)
    images, _ = cached_chunks(
        f"shapes3d-official-{md5}", shape, np.uint8, lambda: _checked_chunks(path, expected, md5)
    )
    return images, md5


def _checked_chunks(path: Path, expected: Expected, md5: str) -> Iterator[NDArray[np.uint8]]:
    """The images in order; fails before the first if the form is wrong, after the last if the content is."""
    import h5py

    totals, count = np.zeros(3), 0
    try:
        with h5py.File(path, "r") as file:
            _check_form(path, file, expected)
            for chunk in _image_chunks(file["images"]):
                totals += chunk.sum(axis=(0, 1, 2), dtype=np.int64)
                count += len(chunk)
                yield chunk
    except (OSError, RuntimeError, KeyError) as error:  # h5py has no errors of its own
        raise DataError(
            f"{path}: expected a whole HDF5 file with images and labels, found {error!r}"
        ) from error
    means = totals / (255 * expected.side**2 * count)
    if md5 != expected.md5 and np.abs(means - expected.means).max() > MEAN_TOLERANCE:
        raise DataError(
            f"{path}: not the official 3DShapes file: MD5 {md5}, channel means {np.round(means, 6).tolist()};"
            f" expected MD5 {expected.md5}, or means {list(expected.means)} in a file saved again"
        )


def _image_chunks(images: Any) -> Iterator[NDArray[np.uint8]]:
    """Runs of whole HDF5 chunks, each decompressed once; the official file takes a minute."""
    from tqdm import tqdm

    per_chunk = images.chunks[0] if images.chunks else 1
    image_bytes = int(np.prod(images.shape[1:]))
    step = per_chunk * max(1, CHUNK_BYTES // (per_chunk * image_bytes))
    for start in tqdm(range(0, len(images), step), desc="unpacking 3DShapes", disable=None, leave=False):
        yield images[start : start + step]


def _check_form(path: Path, file: Any, expected: Expected) -> None:
    """Keys, shapes, types and the whole order."""
    grid = expected.labels
    forms = {"images": ((len(grid), expected.side, expected.side, 3), "u1"), "labels": (grid.shape, "f8")}
    for key, (shape, dtype) in forms.items():
        if key not in file:
            raise DataError(f"{path}: has no {key!r} but {sorted(file)}; expected images and labels")
        found = (getattr(file[key], "shape", None), getattr(file[key], "dtype", None))
        if found != (shape, np.dtype(dtype)):
            raise DataError(f"{path}: {key} is {found[1]} {found[0]}; expected {np.dtype(dtype)} {shape}")
    labels = file["labels"][:]
    wrong = ~(np.abs(labels - grid) <= LABEL_TOLERANCE).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{path}: labels[{row}] is {labels[row].tolist()};"
            f" expected {grid[row].tolist()} (row-major order)"
        )
