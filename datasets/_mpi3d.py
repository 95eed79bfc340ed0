"""What the four MPI3D data sets have in common.

The authors published no checksums: that a file is "official" rests on those of third parties.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from disentangle.data import FactorData
from disentangle.datasets import _read_mpi3d
from disentangle.datasets._official import check_source, label
from disentangle.errors import DataError
from disentangle.files import by_hand, find_file
from disentangle.images import Pixels

FACTORS = (
    "object_color",
    "object_shape",
    "object_size",
    "camera_height",
    "background_color",
    "horizontal_axis",
    "vertical_axis",
)
FULL = (6, 6, 2, 3, 3, 40, 40)  # 1,036,800 images
SMALL = (4, 4, 2, 3, 3, 40, 40)  # 460,800 images
URL = "https://huggingface.co/datasets/waleedgondal/mpi3d/resolve/main"


@dataclass(frozen=True)
class Variant:
    """One of the four data sets.

    Attributes:
        name: of the data set.
        files: the names its file may have, the usual one first.
        url: where it can be had.
        gigabytes: that the file there takes.
        expected: what the file must be.
    """

    name: str
    files: tuple[str, ...]
    url: str
    gigabytes: float
    expected: _read_mpi3d.Expected

    def download(self) -> Path:
        """The file, if it is there. It is not fetched: it is large, and no checksum of it is sure.

        Raises:
            DataError: it is not there; the message says where to get it and where to put it.
        """
        file = find_file(self.files)
        if file is None:
            raise DataError(
                f"{self.files[0]} ({self.gigabytes} GB) is not downloaded by this program:"
                f" {by_hand(self.url, self.files[0])}"
            )
        return file


def load_variant(variant: Variant, source: str, path: str | os.PathLike[str] | None) -> FactorData:
    """One of the four data sets; see `disentangle.datasets.mpi3d_toy.load`."""
    how = by_hand(variant.url, variant.files[0])
    check_source(variant.name, source, how)
    file = find_file(variant.files, path)
    if file is None:
        raise DataError(f"{variant.files[0]} was not found: {how}")
    found = _read_mpi3d.read(file, variant.expected)
    checksum = f"md5:{found.md5}"
    published = f"md5:{variant.expected.md5}" if variant.expected.md5 else "a published checksum"
    kind, note = label(file, source, found.known, f"found {checksum}, expected {published}")
    values = tuple(np.arange(size) for size in found.sizes)
    return FactorData(variant.name, FACTORS, values, Pixels(found.images), kind, checksum, note)
