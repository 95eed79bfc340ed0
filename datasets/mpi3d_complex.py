"""MPI3D-complex: a robot arm moves everyday objects, photographed. Gondal et al. 2019; 460,800 images."""

from __future__ import annotations

import os

from disentangle.data import FactorData
from disentangle.datasets._mpi3d import SMALL, Variant, load_variant
from disentangle.datasets._read_mpi3d import Expected
from disentangle.find import Dataset

# No checksum of the file was found.
VARIANT = Variant(
    "mpi3d_complex",
    ("real3d_complicated_shapes_ordered.npz", "mpi3d_complex.npz", "mpi3d_real_complex.npz"),
    "https://drive.google.com/file/d/1Tp8eTdHxgUMtsZv5uAoYAbJR1BOa_OQm/view",
    5.7,
    Expected((SMALL,)),
)


def load(source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    """The data set.

    Factors, as numbers from 0: object_color (yellow, green, olive, red), object_shape (coffee cup, tennis
    ball, croissant, beer cup), object_size (small, large), camera_height (top, center, bottom),
    background_color (purple, sea green, salmon), horizontal_axis (40) and vertical_axis (40).

    Arguments, result and errors are those of `mpi3d_toy.load`. The file takes 5.7 GB. No checksum of it is
    known, so that its source is ``"user"``.

    >>> from disentangle.errors import DataError
    >>> try:
    ...     load("drawn")
    ... except DataError as error:
    ...     print(str(error).partition(",")[0])
    mpi3d_complex cannot be drawn
    """
    return load_variant(VARIANT, source, path)


DATASET = Dataset(
    title="MPI3D-complex",
    paper="Gondal et al. 2019",
    load=load,
    download=VARIANT.download,
    address=VARIANT.url,
)
