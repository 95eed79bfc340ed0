"""Noisy-dSprites: dSprites before random noise. Locatello et al. 2019; images of 64x64x3.

The images follow `disentangle.random_images.Noisy`; the sprites are those of `dsprites`.
"""

from __future__ import annotations

import os

from disentangle.data import FactorData
from disentangle.datasets import dsprites
from disentangle.datasets._random_dsprites import over
from disentangle.find import Dataset
from disentangle.random_images import Noisy

RECIPE = "noisy_dsprites-1"  # the number rises when the images change
NOTE = "The background is noise, uniform in [0, 1] per pixel and channel; sprites are white."


def load(source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    """The data set; its factors are those of dSprites.

    Args:
        source: of the sprites, ``"official"``, ``"drawn"`` or ``"auto"``; see `dsprites.load`.
        path: dSprites' official file or its folder.

    Raises:
        DataError: the official file is asked for or found, and is missing, damaged or another file.
        InputError: there is no such source.

    >>> data = load("drawn")
    >>> len(data), data.image_shape, data.source
    (737280, (3, 64, 64), 'drawn')
    """
    sprites = dsprites.load(source, path)
    return over(sprites, "noisy_dsprites", Noisy(sprites.store), RECIPE, NOTE)


DATASET = Dataset(
    title="Noisy-dSprites",
    paper="Locatello et al. 2019, arXiv 1811.12359",
    load=load,
    download=dsprites.download,
    address=dsprites.REPOSITORY,
    licence=dsprites.DATASET.licence,
)
