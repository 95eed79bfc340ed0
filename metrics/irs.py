"""Interventional robustness (Suter et al. 2019): does a code keep still while its factor does?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _information, _points, _reference

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class IRS:
    """An interventional robustness score and its parts; ``float(result)`` is the score.

    K of the D codes are active, that is not constant; the parts are of those, in their order.

    Attributes:
        value: the mean of `per_code`, weighted by `max_deviations`; 0 where no code is active.
        per_code: (K,) the largest entry of each row of `matrix`.
        parents: (K,) the factor that it belongs to.
        matrix: (K, F) one minus the normalised deviation of each code at a fixed value of each factor.
        max_deviations: (K,) each code's largest distance from its mean, in the code's own units.
        active: (K,) which codes are active.
    """

    value: float
    per_code: Floats
    parents: Indices
    matrix: Floats
    max_deviations: Floats
    active: Indices

    def __float__(self) -> float:
        return self.value

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {"irs": self.value, "irs_active_codes": float(len(self.active))}


def irs(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    rng: _points.Rng | np.random.RandomState = 0,
    points: int | None = None,
    quantile: float = 0.99,
    mode: Literal["default", "dlib"] = "default",
) -> IRS:
    """Interventional robustness score: how little each code moves while one factor is held.

    With the rows R(j, v) in which factor j has the value v, m(i, j, v) the mean of code i over them
    and Q the quantile::

        deviation[i, j] = mean over v of Q over R(j, v) of abs(z[i] - m(i, j, v))
        max_deviation[i] = max over all rows of abs(z[i] - mean of z[i])
        matrix[i, j] = 1 - deviation[i, j] / max_deviation[i]
        irs = sum_i max_deviation[i] max_j matrix[i, j] / sum_i max_deviation[i]

    1: each code is a function of one factor, its parent; several codes may share a parent, and a
    factor may have none. The lower, the more the other factors, or noise, move a code while its best
    factor is held. Noise scores well above 0 (0.23 and 0.33 in the golden cases), since the extremes
    of all rows lie further out than the quantile of a group. The score is usually in 0 to 1, but a
    skewed or two-valued code can reach below 0, down to -1. Codes count by their range, so scaling
    one of them changes the score; scaling all alike does not. Where a factor's value occurs in few
    rows, the deviation there is underestimated (it is 0 for a single row) and the score rises.

    A constant code has no deviation and is left out. If all are constant, the score is 0.

    Mode ``"dlib"`` gives the reference library's numbers, in a row under ``irs@dlib``. They differ in
    two ways. The reference cuts each factor into 20 equal-width bins first, which merges values of
    dSprites' position (32) and orientation (40), so that a code that follows such a factor exactly no
    longer keeps still: with one noiseless code per factor of dSprites, 10,000 points, dlib gives 0.987
    instead of 1. And it sums float32 codes in float32, where the default sums in float64; in the
    golden cases, whose factors have 20 values or fewer, that alone moves the score by up to 3e-6.

    The reference's ``num_active_dims`` is no count but the sum of all active codes' values, such as
    -37.9 for 10 codes of a golden case; ``irs_active_codes`` is the count. It may also take a code
    for active whose values are equal and whose variance is not rounded to 0; here that is constant.

    Args:
        codes: (N, D) real numbers.
        factors: (N, F) class indices.
        rng: a seed or a generator, for drawing the points; in mode ``"dlib"`` a seed or a
            `numpy.random.RandomState`. A seed draws the same points in both, not the reference's.
        points: how many rows to draw with replacement; None uses all rows, once each, and draws
            nothing. The study drew 10,000.
        quantile: 0 to 1; 1 is the maximum, as in the paper; 0.99 is what the study used.
        mode: ``"default"`` or ``"dlib"``.

    Raises:
        InputError: the arrays cannot be used, a factor is constant, or there are fewer points than
            classes of a factor.

    Source: Suter et al. 2019, "Robustly Disentangled Causal Mechanisms", in the form of Locatello et
    al. 2019, who take a quantile for the maximum.

    >>> from disentangle.metrics.irs import irs
    >>> import numpy as np
    >>> factors = np.indices((4, 5)).reshape(2, -1).T
    >>> round(float(irs(factors**2.0, factors)), 6)
    1.0
    >>> round(float(irs(factors @ [[1.0, 1.0], [1.0, -1.0]], factors, quantile=1.0)), 6)  # rotated
    0.571429
    """
    dlib = _points.check_mode(mode, "dlib") == "dlib"
    z, v = _points.check(codes, factors)
    share = _check_quantile(quantile)
    random = _reference.generator(rng, mode)
    z, v = _points.sample(z, v, points, random)
    if not dlib:
        return _score(z.astype(np.float64, order="C"), v, share, exact=True)
    z = z if z.dtype == np.float32 else z.astype(np.float64)
    return _score(np.ascontiguousarray(z), _information.discretize(v), share, exact=False)


def _check_quantile(value: object) -> float:
    number = isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:  # type: ignore[operator]
        raise InputError(f"quantile is {value!r}; expected a number from 0 to 1")
    return float(value)  # type: ignore[arg-type]


def _score(codes: Floats, factors: Indices, quantile: float, *, exact: bool) -> IRS:
    active = np.flatnonzero(codes.min(axis=0) != codes.max(axis=0))
    if active.size == 0:
        empty = np.zeros((0, factors.shape[1]))
        return IRS(0.0, np.zeros(0), np.zeros(0, np.int64), empty, np.zeros(0), active)
    exponent = np.frexp(np.abs(codes[:, active]).max(axis=0))[1]
    z = np.ldexp(codes[:, active], -exponent)  # by powers of two into -1..1
    if exact:
        z = z - z[0]  # close numbers differ without rounding: a code far from 0 keeps its digits
    # Summed code by code here, but row by row in a group: in float32 it matters, so does the reference.
    largest = np.abs(z - np.ascontiguousarray(z.T).mean(axis=1)).max(axis=0).astype(np.float64)
    deviations = np.stack([_deviation(z, factor, quantile) for factor in factors.T], axis=1)
    matrix = 1.0 - deviations / largest[:, None]
    per_code = matrix.max(axis=1)
    weights = np.ldexp(largest, exponent - exponent.max())
    with np.errstate(over="ignore"):  # the range of a code may exceed the largest float
        max_deviations = np.ldexp(largest, exponent)
    return IRS(
        value=float((weights * per_code).sum() / weights.sum()),
        per_code=per_code,
        parents=matrix.argmax(axis=1),
        matrix=matrix,
        max_deviations=max_deviations,
        active=active,
    )


def _deviation(z: Floats, factor: Indices, quantile: float) -> Floats:
    """Quantile of the codes' distances from their mean where the factor has one value, over the values."""
    order = np.argsort(factor, kind="stable")
    groups = np.split(z[order], np.flatnonzero(np.diff(factor[order])) + 1)
    distances = (np.abs(group - group.mean(axis=0)) for group in groups)
    quantiles = [np.quantile(d, quantile, axis=0).astype(np.float64) for d in distances]
    return np.asarray(np.mean(quantiles, axis=0))


METRIC = Metric(
    id="irs@1",
    title="Interventional robustness score",
    paper="Suter et al. 2019",
    function=irs,
    published={"points": 10_000, "quantile": 0.99},
    headline="irs",
    modes=("dlib",),
    units={"irs_active_codes": "codes"},
)
