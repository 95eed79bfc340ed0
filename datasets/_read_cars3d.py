"""Reads and checks the official Cars3D archive, or the folder of MATLAB files unpacked from it."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle.cached import cached_chunks
from disentangle.datasets._mat import read_bytes
from disentangle.datasets._resize import resize
from disentangle.errors import DataError
from disentangle.files import data_folder, file_md5, find_file, reading

ARCHIVE = "nips2015-analogy-data.tar.gz"
FOLDERS = ("data/cars", "cars")  # where the files are below the named folder or the data folder
CACHE = "cars3d-1"  # the number rises when the images change


@dataclass(frozen=True)
class Expected:
    """What makes an archive the official one.

    Attributes:
        sizes: of elevation, azimuth and object; there is a file per object.
        side: of an image in pixels.
        md5: of the archive; that of the unpacked files is not known.
        small: side of the images made from them.
    """

    sizes: tuple[int, int, int]
    side: int
    md5: str
    small: int = 64

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a file's variable ``im``."""
        return (self.side, self.side, 3, self.sizes[1], self.sizes[0])


# Third parties', not verified here: in BoevaLab/latte (latte/dataset/cars3d.py) and in nmichlo/disent.
OFFICIAL = Expected((4, 24, 183), 128, "4e866a7919c1beedf53964e6f7a23686")


def find(path: str | os.PathLike[str] | None, how: str) -> Path:
    """The archive, or the folder of ``car_*.mat`` files.

    Args:
        path: the archive, the folder that it or the ``.mat`` files are in, or one of these. Without it the
            archive is searched for by `disentangle.files.find_file`, and the folders `FOLDERS` in the data
            folder.
        how: how to get the archive, for the message.

    Raises:
        DataError: there is neither.
    """
    named = data_folder() if path is None else Path(path).expanduser()
    if named.is_file() and named.suffix != ".mat":
        return named
    archive = find_file(ARCHIVE) if path is None else named / ARCHIVE
    if archive is not None and archive.is_file():
        return archive
    folders = [named / below for below in FOLDERS] + ([] if path is None else [named])
    if _is_car(named.name) and named.is_file():
        folders = [named.parent]
    found = next((folder for folder in folders if _mat_files(folder)), None)
    if found is None:
        raise DataError(f"{named}: found neither {ARCHIVE} nor a folder of car_*.mat files: {how}")
    return found


def read(place: Path, expected: Expected = OFFICIAL) -> tuple[NDArray[np.uint8], str, str]:
    """The images, their SHA-256 and the MD5 of the archive.

    Args:
        place: from `find`.
        expected: what it must be.

    Returns:
        The images ``(N, small, small, 3)``, row-major over elevation, azimuth and object, cached in the data
        folder; the SHA-256 of these; and the archive's MD5, empty for a folder. The objects are in the order
        of the file names, compared letter by letter (so car_002_mesh.mat is before car_010_mesh.mat, and the
        order of the published names is that of their numbers).

    Raises:
        DataError: a file is damaged or in another form, or there are more or fewer.
    """
    md5 = _folder_md5(place) if place.is_dir() else file_md5(place)
    shape = (prod(expected.sizes), expected.small, expected.small, 3)
    images, sha256 = cached_chunks(f"{CACHE}-{md5}", shape, np.uint8, lambda: _checked(place, expected))
    return images, sha256, "" if place.is_dir() else md5


def _checked(place: Path, expected: Expected) -> Iterator[NDArray[np.uint8]]:
    """The images in order, a run per elevation and azimuth. All resized ones are held at once (216 MB)."""
    from tqdm import tqdm

    elevations, azimuths, objects = expected.sizes
    cars: dict[str, NDArray[np.uint8]] = {}
    contents = _folder_contents(place) if place.is_dir() else _archive_contents(place)
    for name, content in tqdm(contents, "resizing Cars3D", objects, disable=None, leave=False):
        if name in cars:
            raise DataError(f"{place}: {name} is there twice; expected every file once")
        image = read_bytes(f"{place}: {name}", content, "im", expected.shape)
        views = np.moveaxis(image, (3, 4), (1, 0))
        flat = views.reshape(-1, *views.shape[2:])
        cars[name] = resize(flat, expected.small).reshape(elevations, azimuths, *([expected.small] * 2), 3)
    if len(cars) != objects:
        raise DataError(f"{place}: found {len(cars)} .mat files of cars; expected {objects}")
    ordered = [cars[name] for name in sorted(cars)]
    for elevation in range(elevations):
        for azimuth in range(azimuths):
            yield np.stack([car[elevation, azimuth] for car in ordered])


def _mat_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.mat") if _is_car(file.name))


def _is_car(name: str) -> bool:
    return name.startswith("car_") and name.endswith(".mat")  # not "._car_001_mesh.mat", which a Mac leaves


def _folder_md5(folder: Path) -> str:
    lines = [f"{file_md5(file)} {file.name}\n" for file in _mat_files(folder)]
    return hashlib.md5("".join(lines).encode(), usedforsecurity=False).hexdigest()


def _folder_contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in _mat_files(folder):
        with reading(file):
            content = file.read_bytes()
        yield file.name, content


def _archive_contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of the archive's folder ``cars``, as they lie in it; nothing is unpacked to disk."""
    try:
        with gzip.open(path) as packed:
            with tarfile.open(fileobj=packed, mode="r|") as archive:
                for member in archive:
                    name = PurePosixPath(member.name)
                    if member.isfile() and name.parent.name == "cars" and _is_car(name.name):
                        yield name.name, _member(archive, member)
            while packed.read(1 << 20):  # gzip compares its checksum at the end
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a whole .tar.gz file, found {error!r}") from error


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file: Any = archive.extractfile(member)  # a file, as isfile() said
    content: bytes = file.read()
    return content
