"""MIG-sup (Li et al. 2020): does each code tell of one factor and no other? The counterpart of MIG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _information, _points, _scale

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MIGSup:
    """A MIG-sup and its parts; ``float(result)`` is the score.

    Attributes:
        value: the mean of `per_code` over the active codes; 0 where none is active.
        per_code: (D,) gaps, also of the codes that are not active.
        active: (D,) which codes count.
        mutual_information: (D, F) of discretized code and factor, in nats.
        entropy: (F,) of the factors, in nats.
    """

    value: float
    per_code: Floats
    active: NDArray[np.bool_]
    mutual_information: Floats
    entropy: Floats

    def __float__(self) -> float:
        return self.value

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {"mig_sup": self.value}


def mig_sup(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    rng: _points.Rng = 0,
    points: int | None = None,
    bins: int = 20,
    least_variance: float = 0.01,
) -> MIGSup:
    """MIG-sup: mean over active codes of the gap between the two factors that a code tells most of.

    With I(d, k) the plug-in mutual information of code d, cut into `bins` equal-width bins over its
    own range, and factor k, and H(k) the entropy of that factor::

        per_code[d] = I(d, k1)/H(k1) - I(d, k2)/H(k2)    k1, k2 the factors with the largest quotients

    Range 0 to 1. 1: each active code determines one factor, and tells nothing of any other. 0: each
    tells equally much (all, or nothing) of its two best factors. Several codes for one factor are not
    penalised: that is what MIG is for, as MIG does not penalise two factors in one code. A code that
    tells a factor in part has at most that part. With one factor the second quotient is 0.

    A code is active where its variance is above `least_variance`, as in the authors' code. That is
    meant for codes under a standard normal prior, of which an unused one hardly varies: it is left
    out and costs nothing. The score depends on the codes' scale in this way only. An active code
    of noise does count, as about 0 (slightly more, since the information is a plug-in estimate).

    Args:
        codes: (N, D) real numbers.
        factors: (N, F) class indices; gaps are fine, the entropy counts what occurs.
        rng: a seed or a generator, for drawing the points.
        points: how many rows to draw with replacement; None uses all rows, once each, and draws
            nothing. 10,000 is the number that Locatello et al. 2019 drew for MIG.
        bins: bins of each code.
        least_variance: variances (ddof 1) above this make a code active; 0 counts all codes that are
            not constant.

    Raises:
        InputError: the arrays or options cannot be used, a factor is constant, or there are fewer
            points than bins or than classes of a factor.

    Source: Li et al. 2020, "Progressive Learning and Disentanglement of Hierarchical
    Representations". They integrate over the posterior, of which the bins of the mean code are the
    estimate that MIG has here, so that the two compare.

    >>> from disentangle.metrics.mig_sup import mig_sup
    >>> import numpy as np
    >>> factors = np.indices((4, 5)).reshape(2, -1).T
    >>> twice = np.hstack([factors, factors, np.zeros((20, 1))])  # and an unused code
    >>> round(float(mig_sup(twice, factors)), 6)
    1.0
    >>> round(float(mig_sup(factors @ [[1], [4]], factors)), 6)  # both factors in one code
    0.0
    """
    z, v = _points.check(codes, factors)
    bins = _points.check_count(bins, "bins")
    if not isinstance(least_variance, int | float) or not 0 <= least_variance < np.inf:
        raise InputError(f"least_variance is {least_variance!r}; expected a number of at least 0")
    z, v = _points.sample(z, v, points, _points.generator(rng), bins=bins)

    information = _information.mutual_information(_information.discretize(z, bins), v)
    entropy = _information.entropy(v)
    ranked = np.sort(np.hstack([information / entropy, np.zeros((z.shape[1], 1))]), axis=1)
    per_code = ranked[:, -1] - ranked[:, -2]
    active = _varies_more_than(z, least_variance)
    value = float(per_code[active].mean()) if active.any() else 0.0
    return MIGSup(value, per_code, active, information, entropy)


def _varies_more_than(codes: _points.Codes, least: float) -> NDArray[np.bool_]:
    """Which codes have a variance above `least`, also where their squares would over- or underflow."""
    scaled, exponents = _scale.unit(codes)
    low = scaled.min(axis=0)
    deviation = (scaled - low).std(axis=0, ddof=1)
    with np.errstate(over="ignore"):
        large = np.ldexp(deviation, exponents) > np.sqrt(least)
    return np.asarray(large & (low < scaled.max(axis=0)))


METRIC = Metric(
    id="mig_sup@1",
    title="Mutual information gap, supplement",
    paper="Li et al. 2020",
    function=mig_sup,
    published={"points": 10_000, "bins": 20, "least_variance": 0.01},
    headline="mig_sup",
)
