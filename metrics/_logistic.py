"""Multinomial logistic regression, brought to its minimum.

scikit-learn's L-BFGS knows no curvature at its start, and stops after 100 iterations, often before the
minimum. Here L-BFGS starts from the inverse Hessian of a problem nearby that has just been solved, such
as with another penalty or without a fifth of the points. A few iterations reach the minimum then.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Fit = tuple[Floats, bool]
Pair = tuple[Floats, Floats, float]

_TOLERANCE = 1e-5  # largest entry of the gradient of the mean loss, for codes of variance 1
_PATIENCE = 12  # iterations with one Hessian; a Hessian costs as much as 30 of them
_ITERATIONS = 300
_LARGEST_HESSIAN = 2700  # rows; beyond it one block of its diagonal stands for it
_RIDGE = 1e-7  # added to a Hessian's diagonal, relative to its largest entry: float32's rounding
_MORE_RIDGE = 100.0
_CHUNK = 2000  # rows of data at once, for the processor's cache


def one_thread() -> AbstractContextManager[object]:
    """While it is entered, linear algebra runs on one thread: the products here are too small for more."""
    import scipy.linalg  # noqa: F401  # it has a library of its own, to be found below
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits


class Problem:
    """The mean cross-entropy of labels given codes, as a function of weights (K, P).

    Sums over the data are taken in float32, whose rounding is far below the tolerance.

    Args:
        x: (P, N) standardised codes; the last row is 1, for the intercept.
        labels: (N,) in 0..K-1. A class without a label gets no probability.
        classes: K.
        share: (N,) the points' shares in the mean; None for equal ones.
    """

    def __init__(self, x: Floats, labels: Labels, classes: int, share: Floats | None = None) -> None:
        n = len(labels)
        self.x = np.ascontiguousarray(x, dtype=np.float32)
        self.rows = np.ascontiguousarray(self.x.T)
        self.own = (labels, np.arange(n))
        self.classes = classes
        self.share = np.full(n, 1 / n) if share is None else share / share.sum()
        self.share32 = self.share.astype(np.float32)
        counts = np.bincount(labels, minlength=classes)
        self.absent = np.flatnonzero(counts == 0)
        one_hot = np.zeros((classes, n), dtype=np.float32)
        one_hot[self.own] = self.share32
        self.target = (one_hot @ self.rows).astype(np.float64)

    def start(self) -> Floats:
        """Weights that give every point the frequencies of the classes."""
        weights = np.zeros((self.classes, len(self.x)))
        counts = np.bincount(self.own[0], self.share, self.classes)
        weights[:, -1] = np.log(np.where(counts > 0, counts, 1.0))
        return weights

    def __call__(self, weights: Floats, penalty: Floats) -> tuple[float, Floats, NDArray[np.float32]]:
        """Loss, gradient (K, P), and the points' probabilities times their shares (K, N)."""
        p = weights.astype(np.float32) @ self.x
        p[self.absent] = -np.inf
        p -= p.max(axis=0)
        own = p[self.own]
        np.exp(p, out=p)
        total = p.sum(axis=0)
        p *= self.share32 / total
        loss = float(self.share @ (np.log(total) - own)) + 0.5 * float((penalty * weights**2).sum())
        return loss, (p @ self.rows).astype(np.float64) - self.target + penalty * weights, p

    def hessian(self, p: NDArray[np.float32]) -> Floats:
        """Second derivatives of the unpenalised loss (KP, KP).

        Where that is too large, a block (P, P): those of each class where all are equally probable.
        """
        k, size = self.classes, len(self.x)
        if k * size > _LARGEST_HESSIAN:
            return ((self.x * self.share32) @ self.rows).astype(np.float64) / k
        hessian = np.zeros((k * size, k * size), dtype=np.float32)
        blocks = np.zeros((k * size, size), dtype=np.float32)
        root = np.sqrt(self.share32)[:, None]
        for start in range(0, p.shape[1], _CHUNK):
            rows, part = self.rows[start : start + _CHUNK], p[:, start : start + _CHUNK].T
            weighted = (part[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
            blocks += weighted.T @ rows
            weighted /= root[start : start + _CHUNK]
            hessian -= weighted.T @ weighted
        each = np.arange(k)
        hessian.reshape(k, size, k, size)[each, :, each, :] += blocks.reshape(k, size, size)
        return hessian.astype(np.float64)


class Inverse:
    """The inverse of a Hessian plus a penalty (P,), made definite; it multiplies gradients."""

    def __init__(self, hessian: Floats, penalty: Floats, classes: int, ridge: float = _RIDGE) -> None:
        size = len(penalty)
        ridge *= max(1.0, float(hessian.diagonal().max()))
        self.whole = len(hessian) > size
        dense = hessian.copy()
        if self.whole:
            # The loss is flat where all classes change alike, and minima have a mean of 0 over classes:
            # curvature there changes no step.
            diagonal = np.arange(size)
            dense.reshape(classes, size, classes, size)[:, diagonal, :, diagonal] += 0.1 / classes
        dense[np.diag_indices_from(dense)] += np.tile(penalty, len(dense) // size)
        self.factor = _factor(dense, ridge)

    def __matmul__(self, gradient: Floats) -> Floats:
        from scipy.linalg import cho_solve

        if self.whole:
            return np.asarray(cho_solve(self.factor, gradient, check_finite=False))
        columns = gradient.reshape(-1, len(self.factor[0])).T
        return np.asarray(cho_solve(self.factor, columns, check_finite=False).T.reshape(-1))


def _factor(dense: Floats, ridge: float) -> tuple[Floats, bool]:
    """A Cholesky factor, after adding `ridge` to the diagonal, or more, where rounding asks for it."""
    from scipy.linalg import LinAlgError, cho_factor

    while True:
        dense[np.diag_indices_from(dense)] += ridge
        try:
            factor: tuple[Floats, bool] = cho_factor(dense, lower=True, check_finite=False)
        except LinAlgError:
            ridge *= _MORE_RIDGE
            continue
        return factor


@dataclass(frozen=True, eq=False)
class Minimum:
    """Weights (K, P) of a minimum, the last Hessian and inverse used, and whether it was reached."""

    weights: Floats
    hessian: Floats | None
    inverse: Inverse | None
    converged: bool


def minimise(
    problem: Problem,
    weights: Floats,
    penalty: Floats,
    hessian: Floats | None = None,
    inverse: Inverse | None = None,
    tolerance: float = _TOLERANCE,
) -> Minimum:
    """The minimum, by L-BFGS from `weights`, with a Hessian from nearby or its `inverse` if given."""
    loss, gradient, p = problem(weights, penalty)
    if inverse is None and hessian is not None:
        inverse = Inverse(hessian, penalty, problem.classes)
    pairs: list[Pair] = []
    ridge = _RIDGE
    age = _PATIENCE if inverse is None else 1  # 0: of this very place
    for _ in range(_ITERATIONS):
        if np.abs(gradient).max() <= tolerance:
            return Minimum(weights, hessian, inverse, True)
        if inverse is None or (age >= _PATIENCE and inverse.whole):
            hessian = problem.hessian(p)
            inverse, pairs, age = Inverse(hessian, penalty, problem.classes, ridge), [], 0
        step = _direction(inverse, gradient.ravel(), pairs).reshape(weights.shape)
        found = _search(problem, weights, penalty, step, loss, float((gradient * step).sum()))
        if found is None:
            if ridge > 1 or not (inverse.whole or pairs):
                break
            ridge *= _MORE_RIDGE if age == 0 else 1  # where the loss is nearly flat steps are too long
            pairs, age = [], _PATIENCE
            continue
        moved, loss, slope, p = found
        ridge = max(_RIDGE, ridge / _MORE_RIDGE) if age == 0 else ridge
        change, turn = (moved - weights).ravel(), (slope - gradient).ravel()
        weights, gradient, age = moved, slope, age + 1
        if (product := float(change @ turn)) > 1e-10 * np.linalg.norm(change) * np.linalg.norm(turn):
            pairs.append((change, turn, 1 / product))
    return Minimum(weights, hessian, inverse, bool(np.abs(gradient).max() <= tolerance))


def _direction(inverse: Inverse, gradient: Floats, pairs: list[Pair]) -> Floats:
    """The two loops of L-BFGS."""
    step, factors = gradient.copy(), []
    for change, turn, scale in reversed(pairs):
        factors.append(scale * (change @ step))
        step -= factors[-1] * turn
    step = inverse @ step
    for (change, turn, scale), factor in zip(pairs, reversed(factors), strict=True):
        step += change * (factor - scale * (turn @ step))
    return -step


def _search(
    problem: Problem, weights: Floats, penalty: Floats, step: Floats, loss: float, slope: float
) -> tuple[Floats, float, Floats, NDArray[np.float32]] | None:
    """The first of a few step lengths that lessens the loss enough (up to float32's rounding)."""
    for length in (1.0, 0.5, 0.125, 0.03, 0.008) if slope < 0 else ():
        moved = weights + length * step
        new, gradient, p = problem(moved, penalty)
        if new <= loss + 1e-4 * length * slope + 1e-6 * (1 + abs(loss)):
            return moved, new, gradient, p
    return None


def with_intercept(z: Floats) -> Floats:
    """(N, D) standardised codes as (D + 1, N), the last row 1."""
    return np.vstack([z.T, np.ones(len(z))])


def fit(z: Floats, labels: Labels, share: Floats | None = None, inverse_penalty: float = 1e4) -> Fit:
    """A regression on standardised codes (N, D), by way of stronger penalties.

    Args:
        z: (N, D) codes.
        labels: (N,) in 0..K-1.
        share: as in `Problem`.
        inverse_penalty: scikit-learn's C.

    Returns:
        Weights (K, D + 1), and whether the minimum was reached.
    """
    problem = Problem(with_intercept(z), labels, int(labels.max()) + 1, share)
    weights, hessian, converged = problem.start(), None, True
    for c in (inverse_penalty * 1e-4, inverse_penalty * 1e-2, inverse_penalty):
        penalty = np.append(np.full(z.shape[1], 1 / (c * len(z))), 0.0)
        found = minimise(problem, weights, penalty, hessian, tolerance=_TOLERANCE / 10)
        weights, hessian, converged = found.weights, found.hessian, found.converged
    return weights, converged
