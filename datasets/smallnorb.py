"""SmallNORB: photographs of toys. LeCun, Huang and Bottou 2004; 48,600 images of 96x96, made 64x64."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path

import numpy as np

from disentangle.data import FactorData
from disentangle.datasets import _read_smallnorb
from disentangle.datasets._official import check_source, label
from disentangle.files import data_folder
from disentangle.files import download as download_file
from disentangle.find import Dataset
from disentangle.images import Pixels

URL = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"
FACTORS = ("category", "elevation", "azimuth", "lighting")
VALUES = (np.arange(5), np.linspace(30, 70, 9), np.arange(18) * 20, np.arange(6))


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
    how = (
        "get them by `disentangle data smallnorb --download`, or fetch the six smallnorb-*.mat.gz at"
        f" {URL}/ by hand and put them into {data_folder()}"
    )
    check_source("smallnorb", source, how)
    files = _read_smallnorb.find(path, how)
    images, sha256, others = _read_smallnorb.read(files)
    kind, note = label(next(iter(files.values())).parent, source, not others, _reason(others))
    return _data(images, kind, f"sha256:{sha256}", note)


def _reason(others: dict[str, str]) -> str:
    """Why the files are not known to be the official ones; ``others`` has the MD5 of each that is not."""
    first = next((f"{name} (md5:{md5})" for name, md5 in others.items()), "")
    if len(others) == 1:
        return f"1 file is not the published one: {first}"
    return f"{len(others)} files are not the published ones: {first} and {len(others) - 1} more"


def _data(images: np.ndarray, source: str, checksum: str, note: str) -> FactorData:
    grid = prod(map(len, VALUES))
    cells = np.repeat(np.arange(grid), len(images) // grid)  # ten each
    return FactorData("smallnorb", FACTORS, VALUES, Pixels(images), source, checksum, note, cells=cells)


def download() -> Path:
    """Download the six official files (263 MB) into the data folder; see `disentangle.files.download`."""
    for stem in _read_smallnorb.STEMS:
        name = f"{stem}.mat.gz"
        download_file(f"{URL}/{name}", name, _read_smallnorb.MD5[name])
    return data_folder()


DATASET = Dataset(title="SmallNORB", paper="LeCun et al. 2004", load=load, download=download, address=URL)
