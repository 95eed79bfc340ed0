"""dSprites: a white square, ellipse or heart on black. Matthey et al. 2017; 737,280 images of 64x64.

The official file is an .npz; without it the set is drawn, pixel for pixel as in every official frame known.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from disentangle.cached import cached_array
from disentangle.data import FactorData
from disentangle.datasets import _draw_dsprites, _read_dsprites
from disentangle.files import download as download_file
from disentangle.files import official_file
from disentangle.find import Dataset
from disentangle.images import PackedBits

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
REPOSITORY = "https://github.com/google-deepmind/dsprites-dataset"
URL = f"{REPOSITORY}/raw/master/{FILE}"
FACTORS = ("shape", "scale", "orientation", "x", "y")
DRAWN_NOTE = (
    "Redrawn from figures of the official repository (Apache-2.0; images made with LÖVE, zlib licence); "
    "agrees with every official frame tested. Not DeepMind's file."
)
DRAWN_CACHE = "dsprites-drawn-1"  # the number rises when the drawing changes


def load(source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    """The data set.

    Factors: shape (square 1, ellipse 2, heart 3), scale (6 values in [.5, 1]), orientation (40 in
    [0, 2 pi], both ends), x (32 in [0, 1], left to right) and y (32 in [0, 1], top to bottom). The file's
    factor colour has one value and is left out.

    Args:
        source: ``"official"``, ``"drawn"``, or ``"auto"``: official if the file is found, else drawn.
        path: the official file or its folder; without it ``$DISENTANGLE_DATA`` and the user's cache are
            searched. Ignored for ``"drawn"``.

    Returns:
        The data, labelled with its source. Images are packed to bits once, cached in the data folder
        (377 MB) and mapped from there.

    Raises:
        DataError: the official file is asked for or found, and is missing, damaged or another file.
        InputError: there is no such source.

    >>> data = load("drawn")
    >>> len(data), data.image_shape, data.source
    (737280, (1, 64, 64), 'drawn')
    """
    file = official_file("dsprites", FILE, URL, source, path)
    if file is not None:
        packed, md5 = _read_dsprites.read(file)
        return _data(packed, "official", f"md5:{md5}", "")
    packed, sha256 = cached_array(DRAWN_CACHE, _draw_dsprites.draw)
    return _data(packed, "drawn", f"sha256:{sha256}", DRAWN_NOTE)


def _data(packed: NDArray[np.uint8], source: str, checksum: str, note: str) -> FactorData:
    position = np.linspace(0, 1, 32)
    values = (np.arange(1, 4), np.linspace(0.5, 1, 6), np.linspace(0, 2 * np.pi, 40), position, position)
    return FactorData("dsprites", FACTORS, values, PackedBits(packed, (64, 64)), source, checksum, note)


def download() -> Path:
    """Download the official file (26 MB) into the data folder; see `disentangle.files.download`."""
    return download_file(URL, FILE, _read_dsprites.OFFICIAL.md5)


DATASET = Dataset(
    title="dSprites", paper="Matthey et al. 2017", load=load, download=download, address=REPOSITORY,
    licence="Apache-2.0",
)  # fmt: skip
