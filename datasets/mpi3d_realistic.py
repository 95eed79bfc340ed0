"""MPI3D-realistic: a robot arm moves an object, realistically rendered. Gondal et al. 2019; 64x64x3."""

from __future__ import annotations

import os

from disentangle.data import FactorData
from disentangle.datasets._mpi3d import FULL, SMALL, URL, Variant, load_variant
from disentangle.datasets._read_mpi3d import Expected
from disentangle.find import Dataset

# A third party's checksum, not verified here: in nmichlo/disent, for the copy that was at
# storage.googleapis.com/disentanglement_dataset/Final_Dataset; whether today's is the same, byte for byte, is
# not known. The challenge's file has no published checksum.
# The SHA-256 is that of images.npy in today's file, from leonardotonelli/gaussian-residual-prediction
# (scripts/prepare_mpi3d.py); not verified here either.
VARIANT = Variant(
    "mpi3d_realistic",
    ("mpi3d_realistic.npz", "sim_realistic_64x_ordered_without_heldout_factors.npz"),
    f"{URL}/mpi3d_realistic.npz",
    12.7,
    Expected(
        (FULL, SMALL),
        md5="59a6225b88b635365f70c91b3e52f70f",
        sha256="f6124f358e02846695cb3795acf8714f990c84cf02d495796898c133cf1ae866",
    ),
)


def load(source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    """The data set.

    Factors, as numbers from 0: object_color (white, green, red, blue, brown, olive), object_shape (cone,
    cube, cylinder, hexagonal prism, pyramid, sphere), object_size (small, large), camera_height (top,
    center, bottom), background_color (purple, sea green, salmon), horizontal_axis (40), vertical_axis (40).

    Arguments, result, errors and the smaller file of the NeurIPS 2019 challenge are as in `mpi3d_toy.load`.
    Here ``"official"`` may also rest on the SHA-256 of the images, a third party's, too.

    >>> from disentangle.errors import DataError
    >>> try:
    ...     load("drawn")
    ... except DataError as error:
    ...     print(str(error).partition(",")[0])
    mpi3d_realistic cannot be drawn
    """
    return load_variant(VARIANT, source, path)


DATASET = Dataset(
    title="MPI3D-realistic",
    paper="Gondal et al. 2019",
    load=load,
    download=VARIANT.download,
    address=VARIANT.url,
)
