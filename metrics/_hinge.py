"""The support vector machine of a single code, solved exactly, for every class of every factor at once.

scikit-learn's `LinearSVC` on one code minimises, for one class against the rest, over the slope w and
the intercept b (which is penalised too)::

    (w**2 + b**2) / 2 + sum_i C_i max(0, 1 - y_i (w x_i + b))**2      y_i = 1 in the class, else -1

Two parameters and a piecewise quadratic: the points within the margin are a first or last part of the
sorted code, so that their count, sum and sum of squares come from cumulative sums, and a Newton step
costs a binary search instead of a pass over the points.

The sums are differences of cumulative ones, so an outlier costs digits: one a million times as far
out as the other points is reported as not converged.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle.metrics import _scale

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_STEPS = 100
_HALVINGS = 40
# Below this share of its summands a sum is nothing but rounding.
_ROUNDING = 1e-11
_NARROW = 1e-6
# Decisions that differ by less than this share of the largest are equal.
_TIE = 1e-9


class Machines(NamedTuple):
    """One machine per class of every factor; the classes of a factor are consecutive.

    Attributes:
        first: (F + 1,) where the classes of each factor begin, and their number.
        labels: (N, F) the machine that each training point is positive for.
        inside: (G,) weight of a positive point.
        outside: (G,) weight of a negative point.
    """

    first: Indices
    labels: NDArray[Any]
    inside: Floats
    outside: Floats


def machines(factors: Indices, c: float) -> Machines:
    """The machines of factors (N, F) that are numbered 0, 1, ... without gaps.

    The weights are those of ``LinearSVC(C=c, class_weight="balanced")``: with N points and K classes
    a positive point has ``c N / (K n)``, n the points of its class. A negative point has plain ``c``,
    but for two classes the weight of its own class.
    """
    sizes = factors.max(axis=0) + 1
    first = np.append(0, np.cumsum(sizes))
    counts = [np.bincount(column) for column in factors.T]
    balanced = [c * len(factors) / (len(n) * n) for n in counts]
    outside = [w[::-1] if len(w) == 2 else np.full(len(w), c) for w in balanced]
    # 16-bit integers are sorted in linear time.
    labels = (factors + first[:-1]).astype(np.min_scalar_type(int(first[-1])))
    return Machines(first, labels, np.concatenate(balanced), np.concatenate(outside))


def accuracy(train: Floats, test: Floats, of: Machines, test_labels: Indices) -> tuple[Floats, bool]:
    """Accuracy of each factor's machines on one code: (F,), and whether all met their minimum.

    The class with the largest decision is predicted. Where classes tie, the point counts as right by
    the share of one in their number, which is what guessing among them gives on average.

    Args:
        train: (N,) finite numbers.
        test: (M,) the same code of the test points.
        of: from `machines`.
        test_labels: (M, F) the machine of each test point's class, -1 for a class of the test points
            only.
    """
    x, exponent = _scale.unit(train[:, None])
    x = x[:, 0]
    mean = float(x[0] if x.min() == x.max() else x.mean())
    scale = float(np.abs(x - mean).max()) or 1.0
    with np.errstate(over="ignore"):
        q = float(np.ldexp(1 / scale, -exponent[0]))
    x = (x - mean) / scale
    slope, offset, converged = _Fit(x, mean / scale, q, of).minimum()
    t = (_scale.like(test[:, None], exponent)[:, 0] - mean) / scale
    right = [
        _share_right(slope[a:b], offset[a:b], t, labels - a)
        for a, b, labels in zip(of.first[:-1], of.first[1:], test_labels.T, strict=True)
    ]
    return np.array(right), converged and _resolved(x)


def _resolved(t: Floats) -> bool:
    """Whether the points, within -1..1, are not all next to one place but for a few outliers."""
    distance = np.abs(t - np.median(t))
    distance = distance[distance > 0]
    return len(distance) == 0 or bool(np.median(distance) > _NARROW)


def _share_right(slope: Floats, offset: Floats, t: Floats, labels: Indices) -> float:
    decision = slope[:, None] * t + offset[:, None]
    tied = decision >= decision.max(axis=0) - _TIE * (np.abs(slope) + np.abs(offset)).max()
    known = np.flatnonzero(labels >= 0)
    right = tied[labels[known], known]
    if np.count_nonzero(tied) > len(t):
        right = right / tied.sum(axis=0)[known]
    return float(right.sum() / len(t))


class _Fit:
    """The machines on one code, in the form slope * t + offset with t centred and abs(t) <= 1.

    With w = slope * q and b = offset - slope * r the penalty is
    ``((slope * q)**2 + (offset - slope * r)**2) / 2``.
    """

    def __init__(self, t: Floats, r: float, q: float, of: Machines) -> None:
        # Beyond these bounds the penalty decides alone, or not at all.
        self.q, self.r = float(np.clip(q, 1e-12, 1e12)), float(np.clip(r, -1e12, 1e12))
        self.of = of
        order = np.argsort(t)
        self.t = t[order]
        n = len(of.labels)
        labels = of.labels[order].T.reshape(-1)
        by_class = np.argsort(labels, kind="stable")
        position = by_class % n
        # Machine by machine its positive points, in the order of t: "those of machine g among
        # the first i points" is a binary search for the pair (g, i).
        self.base = np.arange(len(of.inside)) * (n + 1)
        self.keys = labels[by_class].astype(np.int64) * (n + 1) + position
        self.positive = _cumulative(self.t[position])
        self.all = _cumulative(self.t)
        self.start = np.searchsorted(self.keys, self.base)
        self.own = self.positive[:, np.searchsorted(self.keys, self.base + n)] - self.positive[:, self.start]

    def minimum(self) -> tuple[Floats, Floats, bool]:
        """Slopes and offsets (G,), and whether the objectives are least up to rounding."""
        slope, offset = np.zeros((2, len(self.of.inside)))
        sums = self._active(slope, offset)
        value = self._objective(slope, offset, *sums)
        for _ in range(_STEPS):
            to_slope, to_offset, descent = self._newton(slope, offset, *sums)
            if not descent.any():
                return slope, offset, True
            step = np.ones(len(slope))
            for _ in range(_HALVINGS):
                trial = slope + step * to_slope, offset + step * to_offset
                sums = self._active(*trial)
                reached = self._objective(*trial, *sums)
                high = reached > value + 1e-4 * step * descent + 1e-14 * np.abs(value)
                if not high.any():
                    break
                step[high] /= 2
            if not (reached < value).any():  # what is left to gain is rounding, or digits were lost
                return slope, offset, bool((-descent <= _ROUNDING * value).all())
            (slope, offset), value = trial, reached
        return slope, offset, False

    def _active(self, slope: Floats, offset: Floats) -> tuple[Floats, Floats]:
        """Count, sum and sum of squares (3, G) of the positive and the negative points within the margin."""
        up = slope >= 0
        inside = self._first_points(slope, 1 - offset)
        outside = self._first_points(slope, -1 - offset)
        first = self._positive(inside)
        positive = np.where(up, first, self.own - first)
        first = self.all[:, outside] - self._positive(outside)
        negative = np.where(up, self.all[:, -1:] - self.own - first, first)
        return positive, negative

    def _first_points(self, slope: Floats, bound: Floats) -> Indices:
        """How many points, from the lowest t, lie before slope * t reaches the bound."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            edge = np.where(slope != 0, bound / slope, np.where(bound > 0, np.inf, -np.inf))
        return np.asarray(np.searchsorted(self.t, edge))

    def _positive(self, points: Indices) -> Floats:
        """Sums over each machine's positive points among the first so many."""
        return self.positive[:, np.searchsorted(self.keys, self.base + points)] - self.positive[:, self.start]

    def _objective(self, slope: Floats, offset: Floats, positive: Floats, negative: Floats) -> Floats:
        def loss(sums: Floats, free: Floats, slope: Floats) -> Floats:
            """Sum of (free - slope * t)**2."""
            return np.asarray(free**2 * sums[0] - 2 * free * slope * sums[1] + slope**2 * sums[2])

        penalty = ((slope * self.q) ** 2 + (offset - slope * self.r) ** 2) / 2
        return (
            penalty
            + self.of.inside * loss(positive, 1 - offset, slope)
            + self.of.outside * loss(negative, 1 + offset, -slope)
        )

    def _newton(
        self, slope: Floats, offset: Floats, positive: Floats, negative: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Step to the minimum of the quadratic that holds here, and the descent along it (0: arrived)."""
        q2, r = self.q**2, self.r
        inside, outside = 2 * self.of.inside * positive, 2 * self.of.outside * negative
        n, t, tt = inside + outside
        pull = inside - outside
        pull[np.abs(pull) <= _ROUNDING * n] = 0.0
        a, b, c = q2 + r**2 + tt, t - r, 1 + n  # the Hessian [[a, b], [b, c]]
        gradient = a * slope + b * offset - pull[1], b * slope + c * offset - pull[0]
        size = a * np.abs(slope) + np.abs(b * offset) + n, np.abs(b * slope) + c * np.abs(offset) + n
        arrived = np.logical_and(*(np.abs(g) <= _ROUNDING * s for g, s in zip(gradient, size, strict=True)))
        # a c - b**2 without the cancellation of r**2.
        determinant = q2 * (1 + n) + (r**2 * n + 2 * r * t + tt) + np.maximum(0.0, tt * n - t**2)
        to_slope = (c * pull[1] - b * pull[0]) / determinant - slope
        to_offset = (a * pull[0] - b * pull[1]) / determinant - offset
        arrived |= np.abs(to_slope) + np.abs(to_offset) <= _TIE / 10 * (np.abs(slope) + np.abs(offset))
        to_slope[arrived] = to_offset[arrived] = 0.0
        return to_slope, to_offset, gradient[0] * to_slope + gradient[1] * to_offset


def _cumulative(t: Floats) -> Floats:
    """Count, sum and sum of squares of the first 0, 1, ..., N entries: (3, N + 1)."""
    sums = np.zeros((3, len(t) + 1))
    sums[0] = np.arange(len(t) + 1)
    np.cumsum(t, out=sums[1, 1:])
    np.cumsum(t * t, out=sums[2, 1:])
    return sums
