"""Mutual information gap (Chen et al. 2018): is each factor told by one code and no other?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.find import Metric
from disentangle.metrics import _information, _points


@dataclass(frozen=True, eq=False)
class MIG:
    """A mutual information gap and its parts; ``float(result)`` is the gap.

    Attributes:
        value: the mean of `per_factor`.
        per_factor: (F,) normalised gaps.
        mutual_information: (D, F) of discretized code and factor, in nats.
        entropy: (F,) of the factors, in nats.
    """

    value: float
    per_factor: NDArray[np.float64]
    mutual_information: NDArray[np.float64]
    entropy: NDArray[np.float64]

    def __float__(self) -> float:
        return self.value

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {"mig": self.value}


def mig(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    rng: _points.Rng = 0,
    points: int | None = None,
    bins: int = 20,
) -> MIG:
    """Mutual information gap: mean over factors of (largest - second largest information) / entropy.

    With I(d, k) the plug-in mutual information of code d, cut into `bins` equal-width bins over its
    own range, and factor k, and H(k) the entropy of that factor::

        per_factor[k] = (I(d1, k) - I(d2, k)) / H(k)    d1, d2 the codes with the most I about k

    Range 0 to 1. 1: each factor is determined by one code, and no other code tells anything of it.
    0: for every factor the two best codes tell equally much (all of it, or nothing). Two factors in
    one code are not penalised. A constant code has no information; with one code only, the second
    largest is 0. Since the information is a plug-in estimate, noise scores slightly above 0.

    Args:
        codes: (N, D) real numbers.
        factors: (N, F) class indices; gaps are fine, the entropy counts what occurs.
        rng: a seed or a generator, for drawing the points.
        points: how many rows to draw with replacement; None uses all rows, once each, and draws
            nothing. The studies drew 10,000.
        bins: bins of each code.

    Raises:
        InputError: the arrays cannot be used, a factor is constant, or there are fewer points than
            bins or than classes of a factor.

    Source: Chen et al. 2018, "Isolating Sources of Disentanglement in VAEs", with the estimator of
    Locatello et al. 2019: bins of the mean code, where Chen et al. integrate over the posterior.

    >>> from disentangle.metrics.mig import mig
    >>> import numpy as np
    >>> factors = np.indices((4, 5)).reshape(2, -1).T
    >>> round(float(mig(factors / 3.0, factors)), 6)
    1.0
    >>> round(float(mig(np.hstack([factors, factors]), factors)), 6)  # each code twice
    0.0
    """
    z, v = _points.check(codes, factors)
    bins = _points.check_count(bins, "bins")
    z, v = _points.sample(z, v, points, _points.generator(rng), bins=bins)

    information = _information.mutual_information(_information.discretize(z, bins), v)
    entropy = _information.entropy(v)
    ranked = np.sort(np.vstack([information, np.zeros((1, v.shape[1]))]), axis=0)
    per_factor = (ranked[-1] - ranked[-2]) / entropy
    return MIG(float(per_factor.mean()), per_factor, information, entropy)


METRIC = Metric(
    id="mig@1",
    title="Mutual information gap",
    paper="Chen et al. 2018",
    function=mig,
    published={"points": 10_000, "bins": 20},
    headline="mig",
    matrices={"mutual_information": "nats"},
)
