"""toy: 192 images of one white square, for tests and tutorials. There is no official file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from disentangle.data import FactorData
from disentangle.errors import DataError
from disentangle.find import Dataset
from disentangle.images import Pixels

SIDE = 64
HALVES = np.array([4, 7, 10])  # half the square's side, in pixels
CENTRES = np.linspace(12, 52, 8).round().astype(int)


def load(source: str = "auto", path: Path | None = None) -> FactorData:
    """The grid of 3 sizes, 8 x and 8 y positions; images ``(1, 64, 64)`` of zeros and ones.

    Args:
        source: ``"auto"`` or ``"drawn"``.
        path: not used.

    Raises:
        DataError: the official file was asked for.

    >>> load().sizes
    (3, 8, 8)
    """
    if source not in ("auto", "drawn"):
        raise DataError(f"toy has no {source} file; its source is 'drawn'")
    pixel = np.arange(SIDE)
    inside = np.abs(pixel - CENTRES[:, None, None]) < HALVES[:, None]  # (position, size, pixel)
    images = np.einsum("xsc,ysr->sxyrc", inside, inside).astype(np.uint8).reshape(-1, SIDE, SIDE)
    return FactorData(
        name="toy",
        factor_names=("size", "x", "y"),
        factor_values=(2 * HALVES, CENTRES, CENTRES),
        store=Pixels(images, scale=1),
        source="drawn",
        checksum=f"sha256:{hashlib.sha256(images.tobytes()).hexdigest()}",
        note="Made up for tests and tutorials; no paper uses it.",
    )


DATASET = Dataset(title="toy", paper="none: a white square, for tests and tutorials", load=load)
