"""Modularity (Ridgeway and Mozer 2018): does each code tell of one factor only?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _information, _points, _reference

Floats = NDArray[np.float64]

# Nats; less is rounding, as of a code that is independent of a factor on a full grid.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Modularity:
    """A modularity score and its parts; ``float(result)`` is the score.

    Attributes:
        value: the mean of `per_code`.
        per_code: (D,) modularity of each code.
        constant: (D,) which codes have the same value in all points.
        mutual_information: (D, F) of discretized code and factor, in nats.
    """

    value: float
    per_code: Floats
    constant: NDArray[np.bool_]
    mutual_information: Floats

    def __float__(self) -> float:
        return self.value

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {"modularity": self.value}


def modularity(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    rng: _points.Rng | np.random.RandomState = 0,
    points: int | None = None,
    bins: int = 20,
    mode: Literal["default", "dlib2019"] = "default",
) -> Modularity:
    """Modularity: mean over codes of how far each code's information is about a single factor.

    The information is the plug-in mutual information of each code, cut into `bins` equal-width bins
    over its own range, and each factor; see `modularity_from_information` for the score made of it.

    Range 0 to 1. 1: each code tells of one factor and nothing of any other; several codes may tell of
    the same one. 0: each code tells equally much of every factor, or nothing of any. Since the
    information is a plug-in estimate, codes of noise score well above 0 (0.56 and 0.67 in the golden
    cases), and perfect ones below 1 (0.88 for ``shapes3d_perfect``).

    A code without information, such as a constant one, counts as 0 and stays in the mean: with D
    codes of which d are constant the score is at most ``(D - d) / D``. `Modularity.constant` tells
    which. With one factor there is no other to tell of: a code with information counts as 1.

    Mode ``"dlib2019"`` gives the numbers of the reference library with the scikit-learn of its
    time, by the same floating point operations. There a constant code's information came out as about
    1e-16, rounding instead of 0, and so its modularity was anything from 0 to 1: 0.75 and 0.70 in the
    golden cases ``mini_dead`` and ``shapes3d_dead``, whose scores are thereby 0.881 for 0.731 and 0.872 for
    0.803. Without constant codes the two modes agree to 2e-16. With today's scikit-learn the
    reference gives the default's numbers. Information of 1e-12 nats or less, which is what rounding
    leaves of a code that is independent of a factor, counts as none in the default mode.

    Args:
        codes: (N, D) real numbers.
        factors: (N, F) class indices.
        rng: a seed or a generator, for drawing the points; in mode ``"dlib2019"`` a seed (the same one
            draws the same points in both modes) or a `numpy.random.RandomState`.
        points: how many rows to draw with replacement; None uses all rows, once each, and draws
            nothing. The studies drew 10,000.
        bins: bins of each code.
        mode: ``"default"`` or ``"dlib2019"``.

    Raises:
        InputError: the arrays cannot be used, a factor is constant, or there are fewer points than
            bins or than classes of a factor.

    Source: Ridgeway and Mozer 2018, "Learning Deep Disentangled Embeddings With the F-Statistic
    Loss", with the bins of Locatello et al. 2019.

    >>> from disentangle.metrics.modularity import modularity
    >>> import numpy as np
    >>> factors = np.indices((4, 5)).reshape(2, -1).T
    >>> float(modularity(np.hstack([factors, factors]), factors))
    1.0
    >>> float(modularity(np.hstack([factors, np.zeros((20, 2))]), factors))  # half of the codes are constant
    0.5
    """
    _points.check_mode(mode, "dlib2019")
    random = _reference.generator(rng, mode)
    z, v = _points.check(codes, factors)
    bins = _points.check_count(bins, "bins")
    z, v = _points.sample(z, v, points, random, bins=bins)

    discretized = _information.discretize(z, bins)
    if mode == "default":
        information = _information.mutual_information(discretized, v)
        counted = np.where(information > _ROUNDING, information, 0.0)
    else:
        information = counted = _information_of_2019(discretized, v)
    per_code = _per_code(counted)
    constant = np.asarray(z.min(axis=0) == z.max(axis=0))
    return Modularity(float(per_code.mean()), per_code, constant, information)


def modularity_from_information(information: ArrayLike) -> tuple[float, Floats]:
    """Modularity of a matrix m (D, F) of the information that each code has about each factor.

    ::

        per_code[i] = 1 - (sum_f m[i, f]**2 - max_f m[i, f]**2) / (max_f m[i, f]**2 (F - 1))
        modularity  = mean over i of per_code[i]

    A row of zeros counts as 0. With F = 1 any other row counts as 1: there is no other factor.

    Returns:
        (modularity, per_code (D,)).

    Raises:
        InputError: not 2-D, empty, not finite or negative.

    >>> value, per_code = modularity_from_information([[3.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    >>> value, per_code.tolist()
    (0.5, [1.0, 0.5, 0.0])
    """
    m = _points.check_table(information, "information", "(D, F)").astype(np.float64)
    if (m < 0).any():
        row, column = _points.first_place(m < 0)
        raise InputError(
            f"information is {m[row, column]} in row {row}, column {column}; expected no negative number"
        )
    per_code = _per_code(m)
    return float(per_code.mean()), per_code


def _per_code(information: Floats) -> Floats:
    size = np.abs(information)  # that of 2019 can be rounded to less than 0
    most = size.max(axis=1, keepdims=True)
    ratio = np.divide(size, most, out=np.zeros_like(size), where=most > 0)
    others = (ratio**2).sum(axis=1) - 1.0
    per_code = 1.0 - others / max(1, size.shape[1] - 1)
    return np.where(most[:, 0] > 0, per_code, 0.0)


def _information_of_2019(codes: _information.Indices, factors: _information.Indices) -> Floats:
    """Mutual information (D, F) as scikit-learn 0.21 rounded it."""
    codes, factors = _information.compact(codes), _information.compact(factors)
    return np.array([[_rounded_as_2019(factor, code) for factor in factors.T] for code in codes.T])


def _rounded_as_2019(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Two sums over the cells, of n log(n / N) / N and of n log(N N / (n_a n_b)) / N, added cell by cell."""
    width = int(b.max()) + 1
    counts = np.bincount(a * width + b)
    cells = np.flatnonzero(counts)
    n, total = counts[cells], len(a)
    margins = np.bincount(a)[cells // width] * np.bincount(b)[cells % width]
    expected = -_log(margins) + math.log(total) + math.log(total)
    share = n / total
    return float((share * (_log(n) - math.log(total)) + share * expected).sum())


def _log(counts: NDArray[np.int64]) -> Floats:
    """Python's logarithm: NumPy's differs in the last digit from processor to processor."""
    return np.array([math.log(n) for n in counts.tolist()])


METRIC = Metric(
    id="modularity@1",
    title="Modularity",
    paper="Ridgeway and Mozer 2018",
    function=modularity,
    published={"points": 10_000, "bins": 20},
    headline="modularity",
    modes=("dlib2019",),
)
