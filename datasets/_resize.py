"""Images made smaller with Lanczos' filter, as the reference library does it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resize(images: NDArray[Any], side: int) -> NDArray[np.uint8]:
    """Resize images with Pillow's Lanczos filter of 3 lobes, stretched by the factor of reduction.

    Grey images are resized as 32-bit integers and clamped to 0..255 in the end. The reference, which reads
    SmallNORB's bytes as int8, also comes to 32-bit integers, but leaves the filter's overshoot in: its images
    reach below 0 and above 1. Within 0..255 the two are equal. Colour images are resized as bytes, where
    Pillow clamps after either pass (rows, then columns), as in the reference.

    Args:
        images: uint8 ``(N, H, W)``, or ``(N, H, W, 3)``.
        side: of the new images.

    Returns:
        uint8 ``(N, side, side)`` or ``(N, side, side, 3)``.

    >>> edge = np.repeat(np.uint8([[0, 0, 0, 255, 255, 255]]), 6, axis=0)
    >>> resize(edge[None], 4)[0, 0].tolist()
    [0, 10, 245, 255]
    """
    grey = images.ndim == 3
    resized = np.empty((len(images), side, side) if grey else (len(images), side, side, 3), np.uint8)
    for number, image in enumerate(images):
        picture = Image.fromarray(image.astype(np.int32) if grey else np.ascontiguousarray(image))
        small = np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS))
        resized[number] = small.clip(0, 255)
    return resized
