"""Logistic regression whose penalty is chosen by cross-validation, as in downstream tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle.metrics import _scale
from disentangle.metrics._logistic import Floats, Labels, Problem, minimise, with_intercept

PENALTIES = np.logspace(-4, 4, 10)  # scikit-learn's C for Cs=10: the inverse of the penalty
FOLDS = 5


def predict(codes: NDArray[Any], labels: Labels, test: NDArray[Any]) -> tuple[Labels, Labels, bool]:
    """Predicted classes of the training and the test points, and whether all fits converged.

    As `LogisticRegressionCV(Cs=10, cv=KFold(5))` does, but at the minima: of ten penalties the first
    with the highest accuracy, averaged over five folds in the order of the points; then a fit to all
    points. A class that a fold's training part lacks is wrong in its other part.
    """
    values, y = np.unique(labels, return_inverse=True)
    z, z_test, _ = _scale.standardize(codes, test)
    weights, converged = _choose(with_intercept(z), y.reshape(-1), len(values), _log_variance(codes))
    train, held_out = (values[(weights @ with_intercept(x)).argmax(axis=0)] for x in (z, z_test))
    return train, held_out, converged


def _log_variance(codes: NDArray[Any]) -> Floats:
    """Base-2 logarithm of the variance of each code, 0 for a constant one."""
    scaled, exponents = _scale.unit(codes)
    deviation = (scaled - scaled.min(axis=0)).std(axis=0)
    return np.asarray(2 * (np.log2(np.where(deviation > 0, deviation, 1.0)) + exponents))


def _choose(x: Floats, labels: Labels, classes: int, log_variance: Floats) -> tuple[Floats, bool]:
    """Weights at the penalty with the best cross-validated accuracy."""
    n = len(labels)
    whole = Problem(x, labels, classes)
    parts = np.array_split(np.arange(n), FOLDS)
    rest = [np.setdiff1d(np.arange(n), part) for part in parts]
    folds = [Problem(x[:, rows], labels[rows], classes) for rows in rest]
    # scikit-learn penalises the weights of the codes as they are, and of two classes only one.
    log_penalty = np.append(-log_variance, -np.inf) + np.log2(2 if classes == 2 else 1)
    path, accuracy, converged = [whole.start()], np.zeros(len(PENALTIES)), True
    weights = [path[0]] * FOLDS
    hessian = None
    for i, c in enumerate(PENALTIES):
        penalty = _penalty(log_penalty, c * n)
        found = minimise(whole, path[-1], penalty, hessian)
        hessian, converged = found.hessian, converged and found.converged
        for j, (fold, part) in enumerate(zip(folds, parts, strict=True)):
            near = weights[j] + (found.weights - path[-1])
            penalty = _penalty(log_penalty, c * (n - len(part)))
            own = minimise(fold, near, penalty, inverse=found.inverse)
            weights[j], converged = own.weights, converged and own.converged
            logits = own.weights @ x[:, part]
            logits[fold.absent] = -np.inf
            accuracy[i] += np.mean(logits.argmax(axis=0) == labels[part])
        path.append(found.weights)
    # Summed in the order of scikit-learn, so that ties, and what rounding makes of them, go the same way.
    return path[1 + int(accuracy.argmax())], converged


def _penalty(log_penalty: Floats, strength: float) -> Floats:
    """Penalties of standardised codes, within the bounds of the arithmetic."""
    bounded = np.clip(log_penalty - np.log2(strength), -60, 20)
    return np.where(np.isneginf(log_penalty), 0.0, np.exp2(bounded))
