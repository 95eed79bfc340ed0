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
    Expected((SMALL,)),
)


def load(source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    """The data set.

    Factors, as numbers from 0: object_color (yellow, green, olive, red), object_shape (coffee cup, tennis
    ball, croissant, beer cup), object_size (small, large), camera_height (top, center, bottom),
    background_color (purple, sea green, salmon), horizontal_axis (40) and vertical_axis (40).

    Args:
        source: ``"official"``: a file with a known checksum, of which there is none as yet; ``"user"``: any
            of its form; ``"auto"``: so user.
        path: the official file or its folder; without it ``$DISENTANGLE_DATA`` and the user's cache are
            searched.

    Returns:
        The data, labelled with its source. The images are mapped from the file, 5.7 GB; from a
        compressed one they are unpacked once into the data folder.

    Raises:
        DataError: the file is missing, damaged or another one; or the images are to be drawn.
        InputError: there is no such source.

    >>> from disentangle.errors import DataError
    >>> try:
    ...     load("drawn")
    ... except DataError as error:
    ...     print(str(error).partition(",")[0])
    mpi3d_complex cannot be drawn
    """
    return load_variant(VARIANT, source, path)


DATASET = Dataset(title="MPI3D-complex", paper="Gondal et al. 2019", load=load)
