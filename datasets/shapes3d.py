"""3DShapes: an object in a room. Burgess and Kim 2018; 480,000 images of 64x64x3.

The official file is 3dshapes.h5; without it the set is drawn from a description fitted to official
frames (39 dB: near, not exact).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from disentangle.cached import cached_array
from disentangle.data import FactorData
from disentangle.datasets import _draw_shapes3d, _read_shapes3d
from disentangle.files import download as download_file
from disentangle.files import official_file
from disentangle.find import Dataset
from disentangle.images import ImageStore, Parts, Pixels

FILE = "3dshapes.h5"
URL = "https://storage.googleapis.com/3d-shapes/3dshapes.h5"
FACTORS = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
DRAWN_NOTE = (
    "Redrawn from figures of the official repository (Apache-2.0); approximate: 39 dB on official frames. "
    "Not DeepMind's file."
)
DRAWN_CACHE = "shapes3d-drawn-1"  # the number rises when the drawing changes


def load(source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    """The data set.

    Factors: floor, wall and object hue (10 values each in [0, 1)), scale (8 in [.75, 1.25]), shape (cube,
    cylinder, sphere, capsule) and orientation (15 in [-30, 30] degrees).

    Args:
        source: ``"official"``, ``"drawn"``, or ``"auto"``: official if the file is found, else drawn.
        path: the official file or its folder; without it ``$DISENTANGLE_DATA`` and the user's cache are
            searched. Ignored for ``"drawn"``.

    Returns:
        The data, labelled with its source. The official images are unpacked once into the data folder
        (5.9 GB) and mapped from there; without room for that they are held in memory.

    Raises:
        DataError: the official file is asked for or found, and is missing, damaged or another file.
        InputError: there is no such source.

    >>> data = load("drawn")
    >>> len(data), data.image_shape, data.source
    (480000, (3, 64, 64), 'drawn')
    """
    file = official_file("shapes3d", FILE, URL, source, path)
    if file is not None:
        images, md5 = _read_shapes3d.read(file)
        return _data(Pixels(images), "official", f"md5:{md5}", "")
    maps, sha256 = cached_array(DRAWN_CACHE, _draw_shapes3d.draw)
    return _data(Parts(maps, _draw_shapes3d.palettes()), "drawn", f"sha256:{sha256}", DRAWN_NOTE)


def _data(store: ImageStore, source: str, checksum: str, note: str) -> FactorData:
    hue = np.arange(10) / 10
    values = (hue, hue, hue, np.linspace(0.75, 1.25, 8), np.arange(4), np.linspace(-30, 30, 15))
    return FactorData("shapes3d", FACTORS, values, store, source, checksum, note)


def download() -> Path:
    """Download the official file (255 MB) into the data folder; see `disentangle.files.download`."""
    return download_file(URL, FILE, _read_shapes3d.OFFICIAL.md5)


DATASET = Dataset(
    title="3DShapes", paper="Burgess and Kim 2018", load=load, download=download,
    address="https://github.com/google-deepmind/3d-shapes", licence="Apache-2.0",
)  # fmt: skip
