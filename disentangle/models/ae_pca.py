"""AE + PCA: the plain autoencoder, its codes read along their principal axes. A baseline.

Training is that of `ae`; with the same seed the networks are the same. Afterwards the principal axes of the
codes of 10,000 images are found, and the representation is a code's coordinates along them: uncorrelated,
by falling variance, not whitened. Directions in which the codes do not vary are constant 0.

Source: the suite's own. Higgins et al. 2017 (beta-VAE) have PCA of the pixels among their baselines; that a
VAE's latents tend to principal axes is Rolinek et al. 2019, arXiv 1812.06775.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from disentangle.models._linear_codes import Coordinates, linear_codes_method, principal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from disentangle.run import Run


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """AE + PCA has no hyperparameters."""


def _axes(codes: NDArray[np.float64], run: Run) -> Coordinates:
    return principal(codes)[0]


METHOD = linear_codes_method("AE + PCA", "baseline: PCA of the codes of AE", Settings, _axes)
