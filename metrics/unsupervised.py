"""Dependence among the codes alone (Locatello et al. 2019): Gaussian correlations, mutual information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _information, _points

Floats = NDArray[np.float64]

# A dependence closer than the rounding of float32 codes is exact as far as they can tell.
_FINEST = float(np.finfo(np.float32).eps)
_LARGEST = 1e150  # squares must not overflow


@dataclass(frozen=True, eq=False)
class Unsupervised:
    """Dependence among codes; ``float(result)`` is the Gaussian total correlation. Lower is better.

    Attributes:
        total_correlation: of the Gaussian with the codes' covariance, in nats.
        wasserstein_correlation: squared distance of that Gaussian from the product of its marginals,
            in squared units of the codes.
        wasserstein_correlation_norm: the same, divided by the sum of the codes' variances.
        mutual_info_score: mean over pairs of different codes of `mutual_information`, in nats.
        mutual_information: (D, D) of the discretized codes, in nats; the diagonal is their entropy.
        active: (K,) which codes vary.
        dependencies: how many directions of the active codes are linearly dependent on others, each
            counted as 15.9 nats of total correlation where the true value is infinite.
    """

    total_correlation: float
    wasserstein_correlation: float
    wasserstein_correlation_norm: float
    mutual_info_score: float
    mutual_information: Floats
    active: NDArray[np.int64]
    dependencies: int

    def __float__(self) -> float:
        return self.total_correlation

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {
            "unsupervised_gaussian_total_correlation": self.total_correlation,
            "unsupervised_gaussian_wasserstein_correlation": self.wasserstein_correlation,
            "unsupervised_gaussian_wasserstein_correlation_norm": self.wasserstein_correlation_norm,
            "unsupervised_mutual_info_score": self.mutual_info_score,
        }


def unsupervised(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    rng: _points.Rng = 0,
    points: int | None = None,
    bins: int = 20,
) -> Unsupervised:
    """How far the codes are from independent of each other. Lower is better, 0 is independent.

    With S (D, D) the covariance of the codes (ddof 1), C their correlation matrix and I(i, j) the
    plug-in mutual information of two codes, each cut into `bins` equal-width bins over its range::

        total_correlation = 1/2 (sum_i log S[i, i] - log det S) = -1/2 log det C
        wasserstein_correlation = 2 trace(S) - 2 trace((diag(S)^1/2 S diag(S)^1/2)^1/2)
        wasserstein_correlation_norm = wasserstein_correlation / trace(S)
        mutual_info_score = mean over i != j of I(i, j)

    The first is the Kullback-Leibler divergence, the second the squared 2-Wasserstein distance of the
    Gaussian with covariance S from the product of its marginals. Ranges: 0 to infinity; the norm 0 to
    below 2; the mutual information 0 to log(bins). The first two see linear dependence only; all see nothing
    of the factors, which are checked and not used: codes of noise are as independent as perfect ones.
    The estimates of independent codes lie slightly above 0. The Wasserstein correlation alone depends
    on the scale of the codes, by its square if all are scaled alike; its norm depends on their
    relative scales.

    Where the reference library gives a number, this is it; so there are no modes. A constant code
    makes its total correlation NaN; here it is the one of the codes that vary (to the Wasserstein
    correlation a constant code contributes 0 anyway, and to the mean of I it counts as 0 in both).
    Linearly dependent codes, such as two copies of one, make the total correlation infinite. That
    would be missing from a table's means, which the worst representations would gain by, so singular
    values of the standardized codes (N, D), whose columns have length 1, count as no less than
    float32's rounding, 1.2e-7: the total correlation saturates, 15.9 nats higher for every dependent
    direction, and `dependencies` tells how many there were.

    Args:
        codes: (N, D) real numbers of magnitudes below 1e150.
        factors: (N, F) class indices, checked as for every metric.
        rng: a seed or a generator, for drawing the points.
        points: how many rows to draw with replacement; None uses all rows, once each, and draws
            nothing. The study drew 10,000.
        bins: bins of each code, for the mutual information.

    Raises:
        InputError: the arrays cannot be used, a factor is constant, or there are fewer points than
            bins or than classes of a factor.

    Source: Locatello et al. 2019, "Challenging Common Assumptions", appendix.

    >>> from disentangle.metrics.unsupervised import unsupervised
    >>> import numpy as np
    >>> factors = np.indices((5, 6)).reshape(2, -1).T
    >>> round(float(unsupervised(factors * 1.0, factors)), 6)
    0.0
    >>> mixed = factors @ [[1.0, 0.0], [1.0, 1.0]]
    >>> r = np.corrcoef(mixed.T)[0, 1]
    >>> round(float(unsupervised(mixed, factors)), 6), round(float(-0.5 * np.log(1 - r**2)), 6)
    (0.449742, 0.449742)
    """
    z, v = _points.check(codes, factors)
    bins = _points.check_count(bins, "bins")
    _check_magnitude(z)
    z, v = _points.sample(z, v, points, _points.generator(rng), bins=bins)

    active, total_correlation, dependencies, distance, norm = _gaussian(z.astype(np.float64, order="C"))
    binned = _information.discretize(z, bins)
    information = _information.mutual_information(binned, binned)
    pairs = ~np.eye(z.shape[1], dtype=bool)
    return Unsupervised(
        total_correlation=total_correlation,
        wasserstein_correlation=distance,
        wasserstein_correlation_norm=norm,
        mutual_info_score=float(information[pairs].mean()) if pairs.any() else 0.0,
        mutual_information=information,
        active=active,
        dependencies=dependencies,
    )


def _check_magnitude(codes: _points.Codes) -> None:
    if max(float(codes.max()), -float(codes.min())) > _LARGEST:
        row, column = _points.first_place(np.abs(codes) > _LARGEST)
        raise InputError(
            f"codes are {codes[row, column]} in row {row}, column {column}, and the squares of such "
            f"numbers overflow; expected magnitudes below {_LARGEST:g}"
        )


def _gaussian(z: Floats) -> tuple[NDArray[np.int64], float, int, float, float]:
    """Active codes, total correlation, dependencies, Wasserstein correlation and its norm.

    The singular values of the standardized codes are the roots of the correlation matrix's
    eigenvalues, at twice their digits. Those of the same columns, weighted by the variances, sum to
    the trace of the root in the Wasserstein distance.
    """
    active = np.flatnonzero(z.min(axis=0) != z.max(axis=0))
    if active.size == 0:
        return active, 0.0, 0, 0.0, 0.0
    standardized, deviation = _standardize(z[:, active])
    triangle = np.linalg.qr(standardized, mode="r")  # the same singular values, of K x K numbers
    singular = np.zeros(active.size)  # fewer points than codes leave some 0
    found = np.linalg.svd(triangle, compute_uv=False)
    singular[: found.size] = found
    total_correlation = -float(np.log(np.maximum(singular, _FINEST)).sum())
    variance = (deviation / deviation.max()) ** 2
    overlap = np.linalg.svd(triangle * variance, compute_uv=False).sum()
    norm = max(0.0, float(2.0 - 2.0 * overlap / variance.sum()))
    distance = norm * float(variance.sum()) * float(deviation.max()) ** 2
    return active, max(0.0, total_correlation), int((singular <= _FINEST).sum()), distance, norm


def _standardize(z: Floats) -> tuple[Floats, Floats]:
    """Columns of mean 0 and length 1, and the standard deviations (ddof 1) that they had."""
    z = z - z[0]  # close numbers differ without rounding: a code far from 0 keeps its digits
    largest = np.abs(z).max(axis=0)
    z = z / largest
    z = z - z.mean(axis=0)
    length = np.sqrt((z**2).sum(axis=0))
    return z / length, largest * length / np.sqrt(len(z) - 1)


METRIC = Metric(
    id="unsupervised@1",
    title="Dependence among codes (lower is better)",
    paper="Locatello et al. 2019",
    function=unsupervised,
    published={"points": 10_000, "bins": 20},
    headline="unsupervised_gaussian_total_correlation",
    lower_is_better=True,
    units={
        "unsupervised_gaussian_total_correlation": "nats",
        "unsupervised_gaussian_wasserstein_correlation": "squared units of the codes",
        "unsupervised_gaussian_wasserstein_correlation_norm": "ratio",
        "unsupervised_mutual_info_score": "nats",
    },
)
