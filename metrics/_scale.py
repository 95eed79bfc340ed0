"""Codes brought to a common size, so that squares of very large or small ones stay finite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Bounds test codes measured in the scale of the training codes; their squares are still finite.
_LARGEST = 1e150


def unit(codes: NDArray[Any]) -> tuple[Floats, NDArray[np.intc]]:
    """Each code divided by a power of two, such that its largest magnitude lies in [0.5, 1).

    The division is exact, so values keep their order and differences (below the smallest normal
    number of float64 only nearly so). A code of zeros stays as it is.

    Returns:
        (N, D) float64, and the exponents (D,): ``codes = scaled * 2.0**exponents``.

    >>> scaled, exponents = unit(np.array([[3.0, 0.0], [-1.0, 0.0]]))
    >>> scaled.tolist(), exponents.tolist()
    ([[0.75, 0.0], [-0.25, 0.0]], [2, 0])
    """
    x = codes.astype(np.float64)
    exponents = np.frexp(np.abs(x).max(axis=0))[1]
    return np.ldexp(x, -exponents), exponents


def like(codes: NDArray[Any], exponents: NDArray[np.intc]) -> Floats:
    """Other codes divided by the same powers of two; magnitudes are capped at 1e150.

    >>> like(np.array([[6.0, 1e300]]), np.array([2, -500])).tolist()
    [[1.5, 1e+150]]
    """
    with np.errstate(over="ignore"):
        scaled = np.ldexp(codes.astype(np.float64), -exponents)
    return np.clip(scaled, -_LARGEST, _LARGEST)


def standardize(train: NDArray[Any], test: NDArray[Any]) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """z-scores by the mean and standard deviation (ddof 0) of the training points.

    A code that is constant on the training points is 0 everywhere, also on the test points.

    Returns:
        Training and test codes, float64, and which codes are constant (D,).

    >>> train, test, constant = standardize(np.array([[0.0, 7.0], [2.0, 7.0]]), np.array([[3.0, 8.0]]))
    >>> train.tolist(), test.tolist(), constant.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0]], [False, True])
    """
    x, exponents = unit(train)
    y = like(test, exponents)
    low = x.min(axis=0)
    constant = low == x.max(axis=0)
    # From the minimum the differences of close values are exact; from zero their mean is rounded.
    x, y = x - low, y - low
    mean, deviation = x.mean(axis=0), np.where(constant, 1.0, x.std(axis=0))
    z, z_test = (x - mean) / deviation, np.clip((y - mean) / deviation, -_LARGEST, _LARGEST)
    z[:, constant] = z_test[:, constant] = 0.0
    return z, z_test, constant
