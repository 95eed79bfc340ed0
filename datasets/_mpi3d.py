"""What the four MPI3D data sets have in common."""

from __future__ import annotations

import os
from dataclasses import dataclass

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
        expected: what the file must be.
    """

    name: str
    files: tuple[str, ...]
    url: str
    expected: _read_mpi3d.Expected


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
    kind, note = label(file, source, checksum, checksum if found.known else published)
    values = tuple(np.arange(size) for size in found.sizes)
    return FactorData(variant.name, FACTORS, values, Pixels(found.images), kind, checksum, note)
