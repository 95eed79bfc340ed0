"""Scream-dSprites: dSprites that invert a piece of "The Scream". Locatello et al. 2019; images of 64x64x3.

The images follow `disentangle.random_images.Inverting`; the sprites are those of `dsprites`. The painting
is by Edvard Munch, 1893. Without files of sprites and painting, both are drawn, the latter in its spirit.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from disentangle.data import FactorData
from disentangle.datasets import _draw_scream, _read_scream, dsprites
from disentangle.datasets._random_dsprites import over
from disentangle.datasets._read_scream import FILES, MD5, URL, Picture
from disentangle.errors import DataError, unknown
from disentangle.files import by_hand, data_folder, file_md5, find_file
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
            ``"user"``: a picture of your own, behind the sprites of dSprites' official file.
            ``"drawn"``: both drawn, whatever files there are; so it is the same everywhere.
            ``"auto"``: official if both files are; else user if there is a picture and the official sprites;
            else drawn, with a warning where only the sprites' file is missing.
        path: dSprites' official file or its folder; ignored for ``"drawn"``.
        background: the picture or its folder; without it ``scream.jpg`` and then ``scream.png`` are
            looked for in ``$DISENTANGLE_DATA`` and the user's cache. A study has no such argument: for
            one, put the picture there. Ignored for ``"drawn"``.

    Drawn sprites are never shown before a file's picture: a row made from them says ``"drawn"``, and all rows
    that say so are of the same images.

    Raises:
        DataError: a file is missing, damaged or another file than the source says; only one of ``path`` and
            ``background`` is given and the other's file is not found; the picture is smaller than 64 x 64
            pixels.
        InputError: there is no such source.

    >>> data = load("drawn")
    >>> len(data), data.image_shape, data.source
    (737280, (3, 64, 64), 'drawn')
    """
    if source not in SOURCES:
        raise unknown("source", source, SOURCES)
    files = None if source == "drawn" else _files(source, path, background)
    if files is None:
        return _data(dsprites.load("drawn"), Picture(_draw_scream.draw(), False, DRAWN_NOTE), "drawn")
    sprites, file = files
    picture = _read_scream.read(file)
    if source == "official" and not picture.official:
        raise DataError(f"{file}: not the official picture of MD5 {MD5}: its source is 'user'; {_get_it()}")
    official = picture.official and source != "user"
    return _data(dsprites.load("official", sprites), picture, "official" if official else "user")


def _files(source: str, path: PathLike | None, background: PathLike | None) -> tuple[Path, Path] | None:
    """The files of sprites and picture, or None where both are to be drawn."""
    sprites, picture = find_file(dsprites.FILE, path), _read_scream.find(background)
    if sprites is not None and picture is not None:
        return sprites, picture
    if picture is None and (source != "auto" or path is not None):
        given = "" if path is None else f"{path} has the official sprites, which need a picture, too: "
        raise DataError(
            f"scream_dsprites: {given}found no background picture {' or '.join(FILES)}; {_get_it()}."
            " Source 'drawn' needs no file"
        )
    if picture is not None:
        lacking = (
            f"scream_dsprites: {picture} is shown behind official sprites only, and {dsprites.FILE} was not"
            f" found; {_get_it('dsprites', dsprites.URL, dsprites.FILE)}"
        )
        if source != "auto" or background is not None:
            raise DataError(f"{lacking}. Source 'drawn' needs no file")
        warnings.warn(f"{lacking}. Sprites and picture are drawn for now", stacklevel=3)
    return None


def _data(sprites: FactorData, picture: Picture, source: str) -> FactorData:
    store = Inverting(sprites.store, torch.from_numpy(picture.pixels.astype(np.float32) / np.float32(255)))
    height, width, _ = picture.pixels.shape
    sha256 = hashlib.sha256(picture.pixels.tobytes()).hexdigest()
    recipe = f"{RECIPE}\n{height}x{width} {sha256}"
    data = over(sprites, "scream_dsprites", store, recipe, NOTE + picture.note)
    return replace(data, source=source)


def _get_it(name: str = "scream_dsprites", url: str = URL, file: str = FILES[0]) -> str:
    return f"get it by `disentangle data {name} --download`, or {by_hand(url, file)}"


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
    try:
        download_file(URL, FILES[0], MD5)
    except DataError as error:
        raise DataError(f"{error}; another picture put there by hand loads as source 'user'") from error
    return dsprites.download()


DATASET = Dataset(
    title="Scream-dSprites",
    paper="Locatello et al. 2019, arXiv 1811.12359",
    load=load,
    download=download,
    address=dsprites.REPOSITORY,
)
