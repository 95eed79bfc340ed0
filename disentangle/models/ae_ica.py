"""AE + ICA: the plain autoencoder, its codes unmixed into independent components. A baseline.

Training is that of `ae`; with the same seed the networks are the same. Afterwards FastICA (Hyvarinen 1999,
log-cosh, all components at once) is fitted to the codes of 10,000 images, and the representation is the
components, each with mean 0 and variance 1 over these images, by falling share of the codes' variance.
Directions in which the codes do not vary are left out of it: with r of them the last r components are
constant 0.

Source: the suite's own. Higgins et al. 2017 (beta-VAE) have ICA of the pixels among their baselines; Horan
et al. 2021 (NeurIPS) unmix by ICA what a nonlinear embedding of the images finds.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from tqdm import tqdm

from disentangle.draws import generator
from disentangle.models._linear_codes import Coordinates, linear_codes_method, principal, signs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from disentangle.run import Run

ROUNDS = 1000  # of FastICA at most; tens are usual


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """AE + ICA has no hyperparameters."""


def independent(codes: NDArray[np.float64], rng: np.random.Generator) -> tuple[Coordinates, bool]:
    """The independent components of codes ``(N, D)``, and whether FastICA converged.

    Each has its largest weight in the codes positive. Where FastICA has not converged after 1,000 rounds,
    its last rotation is taken: the components have unit variance and are uncorrelated in any case.

    >>> sources = np.random.default_rng(0).random((500, 2))
    >>> found, converged = independent(sources @ [[1.0, 2.0], [2.0, 1.0]], np.random.default_rng(0))
    >>> found.scale.shape, converged
    ((2,), True)
    """
    axes, deviations = principal(codes)
    kept = int((deviations > 0).sum())  # they come first
    if kept < 2:
        return replace(axes, scale=deviations), True
    white = ((codes - axes.mean) @ axes.basis)[:, :kept] / deviations[:kept]
    turn, converged = _rotation(white, rng)
    weights = (axes.basis[:, :kept] * deviations[:kept]) @ turn  # of the components in the codes
    order = np.argsort(-np.square(weights).sum(0), kind="stable")
    rotation = np.eye(len(deviations))
    rotation[:kept, :kept] = (turn * signs(weights))[:, order]
    return replace(axes, scale=deviations, rotation=rotation), converged


def _rotation(white: NDArray[np.float64], rng: np.random.Generator) -> tuple[NDArray[np.float64], bool]:
    """FastICA's rotation ``(k, k)`` of white codes ``(N, k)``: ``white @ rotation`` are the components."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    start = rng.standard_normal((white.shape[1],) * 2)
    ica = FastICA(whiten=False, w_init=start, max_iter=ROUNDS)
    # One thread, whatever this machine has: the order of sums would change the last digits.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ConvergenceWarning)
        ica.fit(white)
    return ica.components_.T, not any(issubclass(w.category, ConvergenceWarning) for w in told)


def _components(codes: NDArray[np.float64], run: Run) -> Coordinates:
    found, converged = independent(codes, generator(run.seed, "init", part=2))
    if not converged:
        tqdm.write(
            f"{run.label()} seed {run.seed}: ICA has not converged in {ROUNDS} rounds; its last is taken"
        )
    return found


METHOD = linear_codes_method("AE + ICA", "baseline: ICA of the codes of AE", Settings, _components)
