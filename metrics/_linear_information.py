"""How much of the factors' entropy a linear classifier predicts from the codes (InfoE of Hsu et al. 2023)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle.errors import InputError
from disentangle.metrics import _logistic, _points, _scale, _split

Floats = NDArray[np.float64]
_LARGEST_VOCABULARY = 5_000  # columns of all discrete codes, one per value


def held_out(train: _split.Points, test: _split.Points, discrete: bool) -> tuple[Floats, bool]:
    """Of each factor the share (F,), 0 to 1, that is predicted of test points; whether all fits converged."""
    columns = _columns(train[0], test[0]) if discrete else (train[0], test[0])
    z, z_test, _ = _scale.standardize(*columns)
    pairs = zip(train[1].T, test[1].T, strict=True)
    fits = [_predicted_share(z, labels, z_test, wanted) for labels, wanted in pairs]
    return np.array([fit[0] for fit in fits]), all(fit[1] for fit in fits)


def fitted(points: _split.Points, discrete: bool) -> tuple[Floats, bool]:
    """The same of the points that were fitted, by the authors' procedure."""
    z = _columns(points[0], points[0])[0] if discrete else _standard_scaled(points[0])
    fits = [_paper_share(z, labels) for labels in points[1].T]
    return np.array([fit[0] for fit in fits]), all(fit[1] for fit in fits)


def _columns(train: _points.Codes, test: _points.Codes) -> tuple[Floats, Floats]:
    """One column per value of each discrete code; a value that the training points lack is in none."""
    values = [np.unique(code) for code in train.T]
    if (width := sum(len(each) for each in values)) > _LARGEST_VOCABULARY:
        raise InputError(
            f"codes have {width} different values, summed over columns; expected at most "
            f"{_LARGEST_VOCABULARY} with discrete latents. Use latents='continuous'"
        )
    one_hot = (
        np.hstack([code[:, None] == each for code, each in zip(codes.T, values, strict=True)]).astype(float)
        for codes in (train, test)
    )
    return next(one_hot), next(one_hot)


def _predicted_share(z: Floats, labels: Any, z_test: Floats, wanted: Any) -> tuple[float, bool]:
    """Of the entropy of equally frequent classes, the share that a linear classifier predicts."""
    values, y, counts = np.unique(labels, return_inverse=True, return_counts=True)
    y = y.reshape(-1)
    weights, converged = _logistic.fit(z, y, share=1 / counts[y])
    known = np.isin(wanted, values)
    if not known.any():
        return 0.0, converged
    own = np.searchsorted(values, wanted[known])
    logits = weights @ _logistic.with_intercept(z_test[known])
    logits -= logits.max(axis=0)
    loss = np.log(np.exp(logits).sum(axis=0)) - logits[own, np.arange(len(own))]
    _, position, sizes = np.unique(own, return_inverse=True, return_counts=True)
    mean = float((np.bincount(position.reshape(-1), loss) / sizes).mean())
    return max(0.0, 1 - mean / float(np.log(len(values)))), converged


def _standard_scaled(codes: _points.Codes) -> _points.Codes:
    from sklearn.preprocessing import StandardScaler

    scaled = _scale.unit(codes)[0].astype(codes.dtype if codes.dtype == np.float32 else np.float64)
    return np.asarray(StandardScaler().fit_transform(scaled))


def _paper_share(z: _points.Codes, labels: Any) -> tuple[float, bool]:
    """As `_predicted_share`, but of the points that were fitted, by scikit-learn and without weights."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    model: Any = LogisticRegression(C=np.inf, class_weight="balanced")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, which is reported
        model.fit(z, labels)
    # Fitted to zeros instead of codes the same regression predicts all classes alike.
    share = 1 - log_loss(labels, model.predict_proba(z)) / np.log(len(model.classes_))
    return float(share), bool(np.all(model.n_iter_ < model.max_iter))
