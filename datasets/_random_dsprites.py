"""What the data sets that are dSprites with a random part have in common."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from disentangle.data import FactorData
from disentangle.pixel_noise import VERSION
from disentangle.random_images import RandomImages

NOTE = (
    "The random part is computed anew whenever training shows an image; in scores and pictures an image"
    " always looks the same."
)


def over(sprites: FactorData, name: str, store: RandomImages, recipe: str, note: str) -> FactorData:
    """The sprites' data set with other images.

    Args:
        sprites: dSprites, whose factors and source it takes over.
        name: of the data set.
        store: its images.
        recipe: what with the sprites determines them, the numbers apart: it names a version, which rises
            when the same sprites and numbers begin to make other images.
        note: what is random.
    """
    content = f"{sprites.checksum}\n{recipe}\nnoise-{VERSION}\n"
    checksum = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
    notes = " ".join(filter(None, (note, NOTE, sprites.note)))
    return replace(sprites, name=name, store=store, checksum=checksum, note=notes)
