"""Mutual information of a code and a factor from distances to nearest neighbours (Ross 2014), in nats.

The numbers of scikit-learn's `mutual_info_classif` for one continuous feature. In one dimension the
neighbours lie side by side after sorting, which takes the place of its trees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]


def mutual_information(codes: Floats, factors: NDArray[Any], noise: Floats, neighbours: int = 10) -> Floats:
    """Estimated mutual information of every code (N, D) with every factor (N, F): (D, F), at least 0.

    For a point in a class of n, the k-th nearest other one of which lies at some distance, and m points
    of any class nearer than that (itself included), psi the digamma function, means over the points::

        I = psi(N) + mean psi(k) - mean psi(n) - mean psi(m)        k = min(neighbours, n - 1)

    A point alone in its class is left out.

    Args:
        codes: of mean 0 and standard deviation 1; a constant one has no information.
        factors: class indices.
        noise: (N,) standard normal numbers, which times 1e-10 are added to every code, to tell equal
            values apart.
        neighbours: k.

    >>> x = np.linspace(-1.7, 1.7, 400)[:, None]
    >>> noise = np.zeros(400)
    >>> float(mutual_information(x, x > 0, noise)[0, 0].round(1)), float(np.log(2).round(1))
    (0.7, 0.7)
    """
    result = np.zeros((codes.shape[1], factors.shape[1]))
    for i, code in enumerate(codes.T):
        if code.min() == code.max():
            continue
        values = code + 1e-10 * max(1.0, float(np.abs(code).mean())) * noise
        order = np.argsort(values, kind="stable")
        for j, labels in enumerate(factors.T):
            result[i, j] = _information(values[order], labels[order], neighbours)
    return result


def _information(x: Floats, labels: NDArray[Any], neighbours: int) -> float:
    """Of sorted values and their classes."""
    from scipy.special import digamma

    _, of_point, counts = np.unique(labels, return_inverse=True, return_counts=True)
    of_point = of_point.reshape(-1)
    if (counts == 1).any():
        kept = counts[of_point] > 1
        if not kept.any():
            return 0.0
        x, labels = x[kept], labels[kept]
        _, of_point, counts = np.unique(labels, return_inverse=True, return_counts=True)
        of_point = of_point.reshape(-1)
    k = np.minimum(neighbours, counts - 1)
    radius = np.empty(len(x))
    members = np.split(np.argsort(of_point, kind="stable"), np.cumsum(counts)[:-1])
    for size, positions in zip(k.tolist(), members, strict=True):
        radius[positions] = _distance(x[positions], size)
    # Just below the distance, so that the k-th neighbour itself is not counted.
    nearer = _count_within(x, np.nextafter(radius, 0))
    share = counts / len(x)
    information = digamma(len(x)) + share @ digamma(k) - share @ digamma(counts) - digamma(nearer).mean()
    return max(0.0, float(information))


def _distance(x: Floats, k: int) -> Floats:
    """Of each of the sorted values to its k-th nearest other one, by the runs of k + 1 it lies in."""
    n = len(x)
    padded = np.concatenate([np.full(k, -np.inf), x, np.full(k, np.inf)])
    nearest = np.full(n, np.inf)
    for left in range(k + 1):
        below = x - padded[k - left : k - left + n]
        above = padded[2 * k - left : 2 * k - left + n] - x
        np.minimum(nearest, np.maximum(below, above), out=nearest)
    return nearest


def _count_within(x: Floats, radius: Floats) -> Positions:
    """How many of the sorted values, itself included, lie within each value's radius."""
    return _end(x, radius) - (len(x) - _end(-x[::-1], radius[::-1])[::-1])


def _end(x: Floats, radius: Floats) -> Positions:
    """The first position after each value whose difference from it is larger than the radius."""
    n = len(x)
    end = np.searchsorted(x, x + radius, side="right")
    padded = np.append(x, np.inf)
    # The sum is rounded to x, the difference is not: near the end a few steps may be missing.
    while (more := padded[end] - x <= radius).any():
        end += more
    while (less := x[np.minimum(end, n) - 1] - x > radius).any():
        end -= less
    return end
