"""Plug-in entropy and mutual information of discretized codes and factors, in nats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def discretize(codes: NDArray[Any], bins: int = 20) -> Indices:
    """Each code's equal-width histogram bin, 1..bins, over that code's own range.

    The edges keep the dtype of the codes, as `numpy.histogram`'s do: float32 codes near an edge can
    fall in another bin than the same numbers in float64. A constant code lies in the middle,
    ``bins // 2 + 1``, which is 11 of 20.

    Args:
        codes: (N, D) finite numbers.
        bins: at least 1.

    Returns:
        (N, D) integers.

    >>> discretize(np.array([[0.0, 7.0], [0.5, 7.0], [1.0, 7.0]])).tolist()
    [[1, 11], [11, 11], [20, 11]]
    """
    return np.stack([_discretize_one(code, bins) for code in codes.T], axis=1)


def _discretize_one(code: NDArray[Any], bins: int) -> Indices:
    if code.min() == code.max():
        return np.full(code.shape, bins // 2 + 1, dtype=np.int64)
    edges = _edges(code, bins)
    if edges is None:
        code = _unit_interval(code)
        edges = np.linspace(0.0, 1.0, bins + 1)
    return np.searchsorted(edges[:-1], code, side="right").astype(np.int64)


def _edges(code: NDArray[Any], bins: int) -> NDArray[Any] | None:
    """NumPy's edges, or None where the dtype cannot hold that many different ones."""
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            edges = np.histogram_bin_edges(code, bins)
        except ValueError:  # NumPy 2 refuses such a range, earlier versions repeat edges
            return None
    # A nan edge, of a range that overflows, fails the comparison too.
    return edges if bool(np.all(edges[1:] > edges[:-1])) and np.isfinite(edges).all() else None


def _unit_interval(code: NDArray[Any]) -> NDArray[np.float64]:
    """The code mapped to [0, 1]; the difference of close floats is exact, so its values stay apart."""
    x = code.astype(np.float64)
    with np.errstate(over="ignore"):
        if not np.isfinite(x.max() - x.min()):
            x = x / 2
    return np.asarray((x - x.min()) / (x.max() - x.min()), dtype=np.float64)


def compact(values: NDArray[Any]) -> Indices:
    """The columns renumbered 0, 1, ... in the order of their values, without gaps.

    >>> compact(np.array([[7, 0], [3, 0], [7, 5]])).tolist()
    [[1, 0], [0, 0], [1, 1]]
    """
    columns = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in values.T]
    return np.stack(columns, axis=1).astype(np.int64)


def entropy(labels: Indices) -> NDArray[np.float64]:
    """Entropy of each column of `labels` (N, K), in nats: (K,)."""
    return np.array([_entropy(np.bincount(column)) for column in compact(labels).T])


def mutual_information(left: Indices, right: Indices) -> NDArray[np.float64]:
    """Mutual information of every column of `left` (N, K) with every one of `right` (N, L): (K, L) nats.

    I(a; b) = sum over cells of p(a, b) log(p(a, b) / (p(a) p(b))) with p the relative frequencies.
    A constant column gives exactly 0.

    >>> a = np.array([[0], [0], [1], [1]])
    >>> (mutual_information(a, a) / np.log(2)).round(12).tolist()
    [[1.0]]
    """
    left, right = compact(left), compact(right)
    return np.array([[_mutual_information(a, b) for b in right.T] for a in left.T])


def _entropy(counts: NDArray[Any]) -> float:
    p = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(p * np.log(p)).sum()))


def _mutual_information(a: Indices, b: Indices) -> float:
    width = int(b.max()) + 1
    rows = int(a.max()) + 1
    if rows == 1 or width == 1:
        return 0.0
    counts = np.bincount(a * width + b, minlength=rows * width).reshape(rows, width)
    i, j = np.nonzero(counts)
    n = counts[i, j]
    # Logarithms are added, not counts multiplied: no overflow for any number of points.
    log_ratio = np.log(n) + np.log(len(a)) - np.log(counts.sum(1)[i]) - np.log(counts.sum(0)[j])
    return max(0.0, float((n / len(a) * log_ratio).sum()))
