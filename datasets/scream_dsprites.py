"""Scream-dSprites: dSprites that invert a piece of "The Scream". Locatello et al. 2019; images of 64x64x3.

The images follow `disentangle.random_images.Inverting`; the sprites are those of `dsprites`. The painting
is by Edvard Munch, 1893. Without a file of it, a picture of our own takes its place.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from disentangle.data import FactorData
from disentangle.datasets import _draw_scream, _read_scream, dsprites
from disentangle.datasets._random_dsprites import over
from disentangle.datasets._read_scream import FILES, MD5, URL, Picture
from disentangle.errors import DataError, unknown
from disentangle.files import by_hand, data_folder, file_md5
from disentangle.files import download as download_file
from disentangle.find import Dataset
from disentangle.random_images import Inverting

RECIPE = "scream_dsprites-1"  # the number rises when the images change
NOTE = "The background is a random piece of a picture in a random tint; sprites invert it. The picture: "
DRAWN_NOTE = "drawn by this program in the spirit of The Scream, not Munch's painting."
SOURCES = ("auto", "official", "drawn", "user")
PathLike = str | os.PathLike[str]


def load(
    source: str = "auto", path: PathLike | None = None, background: PathLike | None = None
) -> FactorData:
    """The data set; its factors are those of dSprites.

    Args:
        source: what sprites and picture are from.
            ``"official"``: dSprites' official file and the reference's picture, both verified.
            ``"user"``: a picture of your own; sprites from the official file if it is found.
            ``"drawn"``: both drawn, whatever files there are.
            ``"auto"``: official if both files are; else user if there is a picture; else drawn.
        path: dSprites' official file or its folder; not used where the picture is drawn.
        background: the picture or its folder; without it ``scream.jpg`` and then ``scream.png`` are
            looked for in ``$DISENTANGLE_DATA`` and the user's cache. A study has no such argument: for
            one, put the picture there.

    Raises:
        DataError: a file is missing, damaged or another file than the source says; the picture is smaller
            than 64 x 64 pixels.
        InputError: there is no such source.

    >>> data = load("drawn")
    >>> len(data), data.image_shape, data.source
    (737280, (3, 64, 64), 'drawn')
    """
    if source not in SOURCES:
        raise unknown("source", source, SOURCES)
    file = None if source == "drawn" else _read_scream.find(background)
    if file is None and source in ("official", "user"):
        raise DataError(f"scream_dsprites: found no background picture {' or '.join(FILES)}; {_get_it()}")
    picture = Picture(_draw_scream.draw(), False, DRAWN_NOTE) if file is None else _read_scream.read(file)
    if source == "official" and not picture.official:
        raise DataError(f"{file}: not the official picture of MD5 {MD5}: its source is 'user'; {_get_it()}")
    if file is None:  # not with official sprites: what "auto" is called must load as the same again
        return _data(dsprites.load("drawn"), picture, "drawn")
    sprites = dsprites.load("official" if source == "official" else "auto", path)
    official = picture.official and sprites.source == "official" and source != "user"
    return _data(sprites, picture, "official" if official else "user")


def _data(sprites: FactorData, picture: Picture, source: str) -> FactorData:
    store = Inverting(sprites.store, torch.from_numpy(picture.pixels.astype(np.float32) / np.float32(255)))
    height, width, _ = picture.pixels.shape
    sha256 = hashlib.sha256(picture.pixels.tobytes()).hexdigest()
    recipe = f"{RECIPE}\n{height}x{width} {sha256}"
    data = over(sprites, "scream_dsprites", store, recipe, NOTE + picture.note)
    return replace(data, source=source)


def _get_it() -> str:
    return f"get it by `disentangle data scream_dsprites --download`, or {by_hand(URL, FILES[0])}"


def download() -> Path:
    """Download the picture and dSprites' official file (26 MB) into the data folder.

    Returns:
        dSprites' file.

    Raises:
        DataError: see `disentangle.files.download`; or another picture is where this one belongs.
    """
    found = data_folder() / FILES[0]
    if found.is_file() and file_md5(found) != MD5:
        raise DataError(f"{found}: not the official picture of MD5 {MD5}; move it away to download that")
    download_file(URL, FILES[0], MD5)
    return dsprites.download()


DATASET = Dataset(title="Scream-dSprites", paper="Locatello et al. 2019", load=load, download=download)
