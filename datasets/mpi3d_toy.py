"""MPI3D-toy: a robot arm moves an object, simply rendered. Gondal et al. 2019; images of 64x64x3."""

from __future__ import annotations

import os

from disentangle.data import FactorData
from disentangle.datasets._mpi3d import FULL, SMALL, URL, Variant, load_variant
from disentangle.datasets._read_mpi3d import Expected
from disentangle.find import Dataset

# Third parties' checksum, not verified here: in nmichlo/disent and elsewhere, for the copy that was at
# storage.googleapis.com/disentanglement_dataset/Final_Dataset; whether today's is the same, byte for byte, is
# not known. The challenge's file has no published checksum.
VARIANT = Variant(
    "mpi3d_toy",
    ("mpi3d_toy.npz", "sim_toy_64x_ordered_without_heldout_factors.npz"),
    f"{URL}/mpi3d_toy.npz",
    12.7,
    Expected((FULL, SMALL), md5="55889cb7c7dfc655d6e0277beee88868"),
)


def load(source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    """The data set.

    Factors, as numbers from 0: object_color (white, green, red, blue, brown, olive), object_shape (cone,
    cube, cylinder, hexagonal prism, pyramid, sphere), object_size (small, large), camera_height (top,
    center, bottom), background_color (purple, sea green, salmon), horizontal_axis (40), vertical_axis (40).

    The file of the NeurIPS 2019 challenge has 460,800 images, of four colors (green, red, blue, brown) and
    four shapes (cone, cube, hexagonal prism, sphere); the one published since has all 1,036,800. Which it is
    is told by the number of images. (The reference, disentanglement_lib, takes four of each in any case: of
    the larger file it shows other colors and shapes than it says.)

    Args:
        source: ``"official"``: a file with the MD5 that a third party published (nmichlo/disent), not
            verified here; ``"user"``: any of the file's form; ``"auto"``: official if the MD5 is that, else
            user.
        path: the official file or its folder; without it ``$DISENTANGLE_DATA`` and the user's cache are
            searched.

    Returns:
        The data, labelled with its source. The images are mapped from the file, 12.7 GB (the challenge's:
        5.7 GB); from a compressed one they are unpacked once into the data folder.

    Raises:
        DataError: the file is missing, damaged or another one; or the images are to be drawn.
        InputError: there is no such source.

    >>> from disentangle.errors import DataError
    >>> try:
    ...     load("drawn")
    ... except DataError as error:
    ...     print(str(error).partition(",")[0])
    mpi3d_toy cannot be drawn
    """
    return load_variant(VARIANT, source, path)


DATASET = Dataset(
    title="MPI3D-toy", paper="Gondal et al. 2019", load=load, download=VARIANT.download, address=VARIANT.url
)
