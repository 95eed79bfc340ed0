"""MPI3D-real: a robot arm moves an object, photographed. Gondal et al. 2019; 1,036,800 images of 64x64x3."""

from __future__ import annotations

import os

from disentangle.data import FactorData
from disentangle.datasets._mpi3d import FULL, URL, Variant, load_variant
from disentangle.datasets._read_mpi3d import Expected
from disentangle.find import Dataset

# A third party's checksum, not verified here: in nmichlo/disent, for the copy that was at
# storage.googleapis.com/disentanglement_dataset/Final_Dataset; whether today's is the same, byte for byte, is
# not known.
VARIANT = Variant(
    "mpi3d_real",
    ("mpi3d_real.npz",),
    f"{URL}/mpi3d_real.npz",
    12.7,
    Expected((FULL,), md5="0f33f609918fb5c97996692f91129802"),
)


def load(source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    """The data set.

    Factors, as numbers from 0: object_color (white, green, red, blue, brown, olive), object_shape (cone,
    cube, cylinder, hexagonal prism, pyramid, sphere), object_size (small, large), camera_height (top,
    center, bottom), background_color (purple, sea green, salmon), horizontal_axis (40), vertical_axis (40).

    Arguments, result and errors are those of `mpi3d_toy.load`. The file takes 12.7 GB.

    >>> from disentangle.errors import DataError
    >>> try:
    ...     load("drawn")
    ... except DataError as error:
    ...     print(str(error).partition(",")[0])
    mpi3d_real cannot be drawn
    """
    return load_variant(VARIANT, source, path)


DATASET = Dataset(
    title="MPI3D-real", paper="Gondal et al. 2019", load=load, download=VARIANT.download, address=VARIANT.url
)
