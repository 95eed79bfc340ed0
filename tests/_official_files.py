"""Writes small files in the formats of official data sets, byte for byte as the formats say."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

CODE = 20  # grey levels that a factor's value takes in the coded images
MAGIC = {"u1": 0x1E3D4C55, "i4": 0x1E3D4C54, "f4": 0x1E3D4C51, "f8": 0x1E3D4C53}


def binary_matrix(array: np.ndarray) -> bytes:
    """The format of NORB: magic number, dimensions, at least three sizes, elements; all little-endian."""
    array = np.ascontiguousarray(array)
    sizes = [*array.shape, 1, 1][: max(3, array.ndim)]
    header = struct.pack(f"<{2 + len(sizes)}i", MAGIC[array.dtype.str[1:]], array.ndim, *sizes)
    return header + array.astype(array.dtype.newbyteorder("<")).tobytes()


def norb_factors(sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Category, instance, elevation, azimuth (in steps of 2) and lighting of training and test images.

    The official test set runs over instance, elevation, azimuth, lighting and category, the last fastest; the
    official training set is shuffled.
    """
    instances = np.arange(sizes[1])
    training = np.array([4, 6, 7, 8, 9]) if sizes[1] == 10 else instances[sizes[1] // 2 :]
    tables = []
    for chosen in (training, np.setdiff1d(instances, training)):
        axes = (
            chosen,
            np.arange(sizes[2]),
            2 * np.arange(sizes[3]),
            np.arange(sizes[4]),
            np.arange(sizes[0]),
        )
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 5)
        tables.append(grid[:, [4, 0, 1, 2, 3]].astype(np.int32))
    tables[0][:, 1:] = shuffled_within(tables[0])
    return tables[0], tables[1]


def shuffled_within(table: np.ndarray) -> np.ndarray:
    """The last four columns, shuffled among the rows of each category."""
    mixed = table[:, 1:].copy()
    for category in np.unique(table[:, 0]):
        rows = np.flatnonzero(table[:, 0] == category)
        mixed[rows] = mixed[np.random.default_rng(category).permutation(rows)]
    return mixed


def smallnorb(sizes: tuple[int, ...], side: int, stems: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays of the six files by stem; images have noise and edges."""
    training, test = norb_factors(sizes)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(training) + len(test), 2, side, side), np.uint8)
    images[::3, :, : side // 2] = 255 * rng.integers(0, 2, images[::3, :, : side // 2].shape, np.uint8)
    halves = (images[: len(training)], images[len(training) :])
    arrays = [
        part
        for pairs, table in zip(halves, (training, test), strict=True)
        for part in (pairs, table[:, 0].copy(), table[:, 1:].copy())
    ]
    return dict(zip(stems, arrays, strict=True))


def coded_smallnorb(sizes: tuple[int, ...], side: int, stems: tuple[str, ...]) -> dict[str, np.ndarray]:
    """As `smallnorb`, but bands of the first camera's images show `CODE` times each of the five factors.

    From the top: category, elevation, azimuth, lighting, instance.
    """
    arrays = smallnorb(sizes, side, stems)
    for dat, cat, info in (stems[:3], stems[3:]):
        instance, elevation, azimuth, lighting = arrays[info].T
        factors = np.stack([arrays[cat], elevation, azimuth // 2, lighting, instance], axis=1)
        bands = np.repeat(CODE * factors, -(-side // factors.shape[1]), axis=1)[:, :side]
        arrays[dat][:, 0] = bands[:, :, None]
    return arrays


def banded_factors(images: np.ndarray) -> np.ndarray:
    """The factors ``(N, 5)`` that bands of images ``(N, H, W)`` show, from their middles."""
    middles = ((np.arange(5) + 0.5) / 5 * images.shape[1]).astype(int)
    return np.rint(images[:, middles, images.shape[2] // 2] / CODE).astype(int)


def write_matrices(folder: Path, arrays: Mapping[str, np.ndarray], packed: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    for stem, array in arrays.items():
        content = binary_matrix(array)
        file = folder / f"{stem}.mat"
        if packed:
            file.with_suffix(".mat.gz").write_bytes(gzip.compress(content, 1, mtime=0))
        else:
            file.write_bytes(content)


def mat5(variables: Mapping[str, np.ndarray], compressed: bool = True) -> bytes:
    """A MATLAB file of version 5 with arrays of bytes: a header of 128 bytes, an element per variable."""
    content = b"MATLAB 5.0 MAT-file, written by a test".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    for name, array in variables.items():
        assert array.dtype == np.uint8
        inner = b"".join(
            (
                _element(6, struct.pack("<II", 9, 0)),  # the class: uint8
                _element(5, struct.pack(f"<{array.ndim}i", *array.shape)),
                _element(1, name.encode()),
                _element(2, array.tobytes(order="F")),
            )
        )
        whole = _element(14, inner)
        if compressed:
            packed = zlib.compress(whole)
            whole = struct.pack("<II", 15, len(packed)) + packed  # the only kind that is not padded
        content += whole
    return content


def _element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def cars(sizes: tuple[int, int, int], side: int) -> dict[str, np.ndarray]:
    """The variable ``im`` by file name, ``(side, side, 3, azimuths, elevations)``; the numbers have gaps."""
    rng = np.random.default_rng(1)
    names = [f"car_{3 * number + 1:03d}_mesh.mat" for number in range(sizes[2])]
    shape = (side, side, 3, sizes[1], sizes[0])
    images = {name: rng.integers(0, 256, shape, np.uint8) for name in names}
    for image in images.values():
        image[: side // 2] = 255 * (image[: side // 2] > 127)
    return images


def coded_cars(sizes: tuple[int, int, int], side: int) -> dict[str, np.ndarray]:
    """As `cars`, but the channels show `CODE` times elevation, azimuth and the number of the object."""
    images = cars(sizes, side)
    for number, name in enumerate(sorted(images)):
        for azimuth, elevation in np.ndindex(sizes[1], sizes[0]):
            images[name][..., azimuth, elevation] = CODE * np.array([elevation, azimuth, number])
    return images


def coded_mpi3d(sizes: tuple[int, ...], side: int) -> np.ndarray:
    """Images ``(N, side, side, 3)``, row-major over the factors; the first pixels show `CODE` times each."""
    factors = np.indices(sizes).reshape(len(sizes), -1).T
    images = np.random.default_rng(2).integers(0, 256, (len(factors), side, side, 3), np.uint8)
    images[:, 0, : len(sizes)] = CODE * factors[:, :, None]
    return images


def car_files(images: Mapping[str, np.ndarray]) -> Iterator[tuple[str, bytes]]:
    """Contents by file name; some files are compressed and all have a mask, too, as the official ones."""
    for number, (name, image) in enumerate(images.items()):
        yield name, mat5({"im": image, "mask": image[:, :, 0] // 255}, compressed=number % 2 == 0)


def write_archive(path: Path, files: Mapping[str, bytes] | list[tuple[str, bytes]]) -> None:
    """The archive of Reed et al. 2015: the cars in some order, and others' files that are no cars."""
    listed = list(files.items()) if isinstance(files, Mapping) else list(files)
    others = [
        ("data/cars/list.txt", b"car_001_mesh\n"),
        ("data/sprites/one.mat", b"?"),
        ("data/shapes48.mat", b"?"),
    ]
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in [*others, *((f"data/cars/{name}", content) for name, content in listed)]:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
