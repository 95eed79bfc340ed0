"""Cars3D: renderings of car models. Reed et al. 2015; 17,568 images of 128x128x3, made 64x64x3."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from disentangle.data import FactorData
from disentangle.datasets import _read_cars3d
from disentangle.datasets._official import check_source, label
from disentangle.files import by_hand
from disentangle.files import download as download_file
from disentangle.find import Dataset
from disentangle.images import Pixels

URL = f"http://www.scottreed.info/files/{_read_cars3d.ARCHIVE}"
FACTORS = ("elevation", "azimuth", "object")
VALUES = (np.arange(4), np.arange(24), np.arange(183))


def load(source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    """The data set.

    Factors: elevation (4 values), azimuth (24) and object (183 cars), as numbers from 0.

    Cars are numbered in the order of their file names. The reference (Locatello et al.'s disentanglement_lib)
    numbers them as the file system happens to list them, so that there the same number is another car on
    another machine. Images are resized to 64x64 with Lanczos' filter, as in the reference.

    Args:
        source: ``"official"``: an archive with the known checksum; ``"user"``: any archive or folder of its
            form; ``"auto"``: official if the checksum is known, else user. Of an unpacked folder no checksum
            is known.
        path: the archive, or the folder that it or the unpacked ``.mat`` files are in; without it the archive
            is looked for in ``$DISENTANGLE_DATA`` and the user's cache, unpacked files in
            ``data/cars`` or ``cars`` in the former. The files are those named ``car_*.mat``.

    Returns:
        The data, labelled with its source. The resized images are cached in the data folder (216 MB) and
        mapped from there. The checksum is the archive's, or that of the images.

    Raises:
        DataError: the files are missing, damaged or others; or the images are to be drawn.
        InputError: there is no such source.

    >>> from disentangle.errors import DataError
    >>> try:
    ...     load("drawn")
    ... except DataError as error:
    ...     print(str(error)[:22])
    cars3d cannot be drawn
    """
    how = f"`disentangle data cars3d --download`, or {by_hand(URL, _read_cars3d.ARCHIVE)}"
    check_source("cars3d", source, how)
    place = _read_cars3d.find(path, how)
    images, sha256, md5 = _read_cars3d.read(place)
    found, official = f"md5:{md5}" if md5 else "unpacked files", _read_cars3d.OFFICIAL.md5
    kind, note = label(place, source, md5 == official, f"found {found}, expected md5:{official}")
    return _data(images, kind, f"md5:{md5}" if md5 else f"sha256:{sha256}", note)


def _data(images: np.ndarray, source: str, checksum: str, note: str) -> FactorData:
    return FactorData("cars3d", FACTORS, VALUES, Pixels(images), source, checksum, note)


def download() -> Path:
    """Download the official archive into the data folder; see `disentangle.files.download`."""
    return download_file(URL, _read_cars3d.ARCHIVE, _read_cars3d.OFFICIAL.md5)


DATASET = Dataset(title="Cars3D", paper="Reed et al. 2015", load=load, download=download, address=URL)
