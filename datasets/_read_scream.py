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
from disentangle.files import find_file, reading

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

    It is reduced as Pillow did in 2019, when the reference was written: sides are rounded down, and of a JPEG
    the decoder reduces by 8, 4 or 2 as far as it can before. (Pillow now rounds to the nearest, and lets the
    decoder do less.) As there, an orientation in EXIF data is ignored.

    Departure: a picture that is grey or transparent becomes RGB (the reference fails, or fails later).

    Raises:
        DataError: the file is no JPEG or PNG, damaged, of more than 8 bits a grey pixel, or too small for a
            piece of 64 x 64.
    """
    with reading(path):
        content = path.read_bytes()
    original, pixels = _reduced(path, content)
    if min(pixels.shape[:2]) < PIECE:
        height, width = pixels.shape[:2]
        raise DataError(
            f"{path}: the picture has {original} pixels, reduced to {width}x{height};"
            f" expected {PIECE}x{PIECE} or more after it is reduced to fit into {LARGEST[0]}x{LARGEST[1]}"
        )
    official = hashlib.md5(content, usedforsecurity=False).hexdigest() == MD5
    sha256 = hashlib.sha256(content).hexdigest()
    return Picture(pixels, official, f"{path.name}, SHA-256 {sha256[:16]}...")


def _reduced(path: Path, content: bytes) -> tuple[str, NDArray[np.uint8]]:
    """The original's size, and the pixels after it is reduced."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            original, mode, size = f"{image.width}x{image.height}", image.mode, _fitting(*image.size)
            if mode[0] in "IF":  # Pillow would clip its pixels at 255, or fail
                raise DataError(f"{path}: the picture has pixels of kind {mode}; expected 8 bits a channel")
            coloured = image if mode == "RGB" else image.convert("RGB")
            if size != coloured.size:
                coloured.draft(None, size)  # does something to a JPEG only
                coloured = coloured.resize(size, Image.Resampling.BICUBIC)
            pixels = np.array(coloured)
    except DataError:  # a ValueError, too
        raise
    except (
        *(OSError, ValueError, SyntaxError, EOFError),  # what Pillow raises for files in a bad form
        *(struct.error, zlib.error, Image.DecompressionBombError),
    ) as error:
        raise DataError(f"{path}: expected a picture (JPEG or PNG), found {error!r}") from error
    return original, pixels


def _fitting(width: int, height: int) -> tuple[int, int]:
    """The size to which Pillow's ``thumbnail`` of 2019 reduced a picture: to the width, then the height."""
    x, y = width, height
    if x > LARGEST[0]:
        x, y = LARGEST[0], max(y * LARGEST[0] // x, 1)
    if y > LARGEST[1]:
        x, y = max(x * LARGEST[1] // y, 1), LARGEST[1]
    return x, y
