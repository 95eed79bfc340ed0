"""SmallNORB: photographs of toys. LeCun, Huang and Bottou 2004; 48,600 images of 96x96, made 64x64."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from disentangle.data import FactorData
from disentangle.datasets import _read_smallnorb
from disentangle.datasets._official import check_source, label
from disentangle.files import by_hand, data_folder
from disentangle.files import download as download_file
from disentangle.find import Dataset
from disentangle.images import Pixels

URL = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"
FACTORS = ("category", "elevation", "azimuth", "lighting")


def load(source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    """The data set: training and test images together, those of the first camera.

    Factors: category (four-legged animal, human figure, airplane, truck, car), elevation (9 values in
    [30, 70] degrees), azimuth (18 in [0, 340] degrees: the files' 0, 2, ..., 34) and lighting (6). Of each
    category there are ten toys. Which toy it is (the instance) is no factor, as in Locatello et al. 2019:
    every cell of the grid has ten images, in the order of the instances; image ``10 * cell + instance``.
    Azimuths of two toys do not correspond.

    Images are resized to 64x64 with Lanczos' filter and clamped to [0, 1]. The reference (Locatello et al.'s
    disentanglement_lib) does not clamp: its images reach beyond [0, 1]; elsewhere they are equal.

    Args:
        source: ``"official"``: files with known checksums; ``"user"``: any of the official form; ``"auto"``:
            official if the checksums are known, else user.
        path: the folder of the six files (``.mat.gz`` or unpacked ``.mat``), or one of them; without it
            ``$DISENTANGLE_DATA`` and the user's cache are searched.

    Returns:
        The data, labelled with its source. The resized images are cached in the data folder (199 MB) and
        mapped from there; the checksum is theirs.

    Raises:
        DataError: a file is missing, damaged or another one; or the images are to be drawn.
        InputError: there is no such source.

    >>> from disentangle.errors import DataError
    >>> try:
    ...     load("drawn")
    ... except DataError as error:
    ...     print(str(error)[:25])
    smallnorb cannot be drawn
    """
    first = f"{_read_smallnorb.STEMS[0]}.mat.gz"
    how = (
        f"`disentangle data smallnorb --download`, or {by_hand(f'{URL}/{first}', first)},"
        " and so the other five"
    )
    check_source("smallnorb", source, how)
    files = _read_smallnorb.find(path, how)
    images, sha256, others = _read_smallnorb.read(files)
    first_other = next(
        (f"{len(others)} other files, {name} of md5:{md5}" for name, md5 in others.items()), ""
    )
    place = next(iter(files.values())).parent
    kind, note = label(place, source, first_other, "the published checksums" if others else "")
    return _data(images, kind, f"sha256:{sha256}", note)


def _data(images: np.ndarray, source: str, checksum: str, note: str) -> FactorData:
    values = (np.arange(5), np.linspace(30, 70, 9), np.arange(18) * 20, np.arange(6))
    cells = np.repeat(np.arange(5 * 9 * 18 * 6), 10)
    return FactorData("smallnorb", FACTORS, values, Pixels(images), source, checksum, note, cells=cells)


def download() -> Path:
    """Download the six official files (263 MB) into the data folder; see `disentangle.files.download`."""
    for stem in _read_smallnorb.STEMS:
        name = f"{stem}.mat.gz"
        download_file(f"{URL}/{name}", name, _read_smallnorb.MD5[name])
    return data_folder()


DATASET = Dataset(title="SmallNORB", paper="LeCun et al. 2004", load=load, download=download)
