"""Reads the background picture of scream_dsprites, Munch's "The Scream" or whatever picture a user gives."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from disentangle.errors import DataError
from disentangle.files import find_file

FILES = ("scream.jpg", "scream.png")
# Where disentanglement_lib's dlib_download_data fetches it.
URL = "https://upload.wikimedia.org/wikipedia/commons/f/f4/The_Scream.jpg"
# That address's picture as github.com/pystiche/papers knows it (gatys_ecker_bethge_2015/_data.py, 2020);
# disentanglement_lib names no checksum. Not verified here.
MD5 = "46ef64eea5a7b2d13dbadd420b531249"
LARGEST = (350, 274)  # the reference makes the picture fit into this width and height
PIECE = 64  # the side of the pieces that are cut from it


@dataclass(frozen=True)
class Picture:
    """A background picture.

    Attributes:
        pixels: uint8 ``(height, width, 3)``, reduced.
        official: whether the file is the reference's, by its MD5.
        note: which file it is.
    """

    pixels: NDArray[np.uint8]
    official: bool
    note: str


def find(path: str | os.PathLike[str] | None = None) -> Path | None:
    """The picture's file, or None where there is none; see `disentangle.files.find_file`."""
    return find_file(FILES, path)


def read(path: Path) -> Picture:
    """The picture in a file, reduced as the reference does: to fit into 350 x 274 pixels, never enlarged.

    Departures: a picture that is grey or transparent becomes RGB (the reference fails, or fails later).
    Pillow now reads large JPEGs at more than twice the size before it reduces them; that of 2019 did at
    the size itself or more, so that pixels may differ a little from the reference's.

    Raises:
        DataError: the file is no picture, damaged, or too small for a piece of 64 x 64.
    """
    from PIL import Image

    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            original = f"{image.width}x{image.height}"
            coloured = image if image.mode == "RGB" else image.convert("RGB")
            coloured.thumbnail(LARGEST, Image.Resampling.BICUBIC, reducing_gap=2.0)
            pixels = np.array(coloured)
    except (
        *(OSError, ValueError, SyntaxError, EOFError),  # what Pillow raises for files in a bad form
        *(struct.error, zlib.error, Image.DecompressionBombError),
    ) as error:
        raise DataError(f"{path}: expected a picture (JPEG or PNG), found {error!r}") from error
    if min(pixels.shape[:2]) < PIECE:
        height, width = pixels.shape[:2]
        raise DataError(
            f"{path}: the picture has {original} pixels, reduced to {width}x{height};"
            f" expected {PIECE}x{PIECE} or more after it is reduced to fit into {LARGEST[0]}x{LARGEST[1]}"
        )
    official = hashlib.md5(content, usedforsecurity=False).hexdigest() == MD5
    sha256 = hashlib.sha256(content).hexdigest()
    return Picture(pixels, official, f"{path.name}, SHA-256 {sha256[:16]}...")
