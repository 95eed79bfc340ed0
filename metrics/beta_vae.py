"""The beta-VAE score (Higgins et al. 2017): can one see which factor a batch of pairs has in common?"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _batches, _points

Features = NDArray[np.float64]
Labels = NDArray[np.int64]

# scikit-learn refuses to fit features above 1e30 with liblinear; differences can be twice the codes.
_LIBLINEAR = 5e29


@dataclass(frozen=True, eq=False)
class BetaVAEScore:
    """The beta-VAE score; ``float(result)`` is the accuracy on the test points.

    Attributes:
        value: accuracy on the test points.
        train_accuracy: accuracy on the training points.
        converged: whether the classifier met its tolerance within its 100 iterations. The reference
            stops there too, silently.
    """

    value: float
    train_accuracy: float
    converged: bool

    def __float__(self) -> float:
        return self.value

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {"beta_vae": self.value, "beta_vae_train": self.train_accuracy}


def beta_vae(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    rng: _points.Rng | np.random.RandomState = 0,
    train_points: int = 10_000,
    test_points: int = 5_000,
    batch: int = 64,
    mode: Literal["default", "dlib", "dlib2019"] = "default",
) -> BetaVAEScore:
    """Accuracy of a linear classifier that tells which factor pairs of codes share.

    For one point draw a factor k, and `batch` pairs of rows that agree in factor k and are otherwise
    independent; its features (D,) are ``mean over the pairs of abs(z1 - z2)``, its label is k. A
    logistic regression (scikit-learn's default: L2 with C = 1, lbfgs) is fitted to the training
    points; the score is its accuracy on the test points.

    Range 0 to 1. 1: the shared factor is always seen, as where each factor has a code of its own; but
    a linear mixture of the factors can reach 1 too. 1/F: chance, as for codes of noise. The
    penalty makes the score depend on the scale of the codes: codes scaled far down score less.

    The first row of a pair is drawn from all rows of the table, the second from the rows with the
    same value of factor k. On a full grid that is the distribution of the reference; a table
    that is not a grid, or not balanced, works as well, in its own distribution.

    Mode ``"dlib"`` differs in the draws only: from `numpy.random.RandomState` in the reference's order,
    so that the reference's numbers come out; it needs a full grid, row-major. Such a row's id is
    ``beta_vae@dlib``. On the golden representations, at published sizes, the means of both modes over 6
    seeds differ by at most 0.004, where a seed alone moves either by up to 0.007 (standard deviation).

    Mode ``"dlib2019"`` draws alike and fits what scikit-learn's logistic regression was before 0.22, with
    which the studies' numbers were probably made: liblinear, one classifier per factor against the
    rest, the intercept penalised too. The means are up to 0.005 below those of ``"dlib"`` there.

    Args:
        codes: (N, D) real numbers, one row per image, any number of rows.
        factors: (N, F) class indices, F at least 2.
        rng: a seed or a generator; in the other modes a seed or a `numpy.random.RandomState`.
        train_points: points that the classifier is fitted to.
        test_points: points that it is scored on.
        batch: pairs averaged in one point.
        mode: ``"default"``, ``"dlib"`` or ``"dlib2019"``.

    Raises:
        InputError: the arrays cannot be used, there is one factor only or a constant one, fewer
            training points than factors, or in another mode the table is no full grid.

    Source: Higgins et al. 2017, "beta-VAE", in the form of Locatello et al. 2019 (both fit the
    classifier to differences averaged over the batch).

    >>> from disentangle.metrics.beta_vae import beta_vae
    >>> import numpy as np
    >>> factors = np.indices((4, 5)).reshape(2, -1).T
    >>> float(beta_vae(factors * 1.0, factors, train_points=200, test_points=100))
    1.0
    """
    z, v = _points.check(codes, factors)
    z = np.ascontiguousarray(z)  # else every `take` copies the table
    _points.check_mode(mode, "dlib", "dlib2019")
    train_points = _points.check_count(train_points, "train_points")
    test_points = _points.check_count(test_points, "test_points")
    batch = _points.check_count(batch, "batch")
    if v.shape[1] < 2:
        raise InputError("factors have 1 column; expected at least 2, for there is nothing to tell apart")
    if train_points < v.shape[1]:
        raise InputError(f"train_points is {train_points}; expected at least one per factor, {v.shape[1]}")
    dtype = np.dtype(np.float64) if mode == "default" else _batches.grid_dtype(z)
    _batches.check_range(z, _LIBLINEAR if mode == "dlib2019" else float(np.finfo(dtype).max / (4 * batch)))
    if mode == "default":
        random = _points.generator(rng)  # it refuses a RandomState
        _points.check_factors(v, len(v))
        partners = [_batches.Partners(values) for values in v.T]
        train, test = (
            points(z, _batches.table_pairs(partners, len(z), n, batch, random), dtype)
            for n in (train_points, test_points)
        )
        return _score(train, test, mode)
    state, sizes = _points.random_state(rng), _batches.check_grid(v, mode)
    train = grid_points(z, sizes, train_points, batch, state)
    if mode == "dlib2019":
        state.randint(2**31 - 1)  # liblinear's seed: fitting took it from the generator of the points
    return _score(train, grid_points(z, sizes, test_points, batch, state), mode)


def grid_points(
    codes: Any, sizes: tuple[int, ...], count: int, batch: int, state: np.random.RandomState
) -> tuple[Features, Labels]:
    """`count` points of a full row-major grid of `sizes`, drawn in the reference's order.

    Features keep the dtype of the codes until the mean is taken, as the reference's do; integers
    become float64, for differences of unsigned ones would wrap around.
    """
    return points(codes, _batches.grid_pairs(sizes, count, batch, state), _batches.grid_dtype(codes))


def points(codes: Any, pairs: Iterable[tuple[Labels, Labels, Labels]], dtype: Any) -> tuple[Features, Labels]:
    """Features (count, D) and shared factors (count,) of pairs of rows.

    Args:
        codes: (N, D); of the array only `take` is used, so the rows may also be made when asked for.
        pairs: as from `_batches.table_pairs`.
        dtype: of the differences.
    """
    labels, features = [], []
    for label, first, second in pairs:
        difference = np.subtract(codes.take(first, axis=0), codes.take(second, axis=0), dtype=dtype)
        labels.append(label)
        features.append(np.abs(difference, out=difference).mean(axis=1).astype(np.float64))
    return np.concatenate(features), np.concatenate(labels)


def _score(train: tuple[Features, Labels], test: tuple[Features, Labels], mode: str) -> BetaVAEScore:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    if np.unique(train[1]).size < 2:
        raise InputError(
            f"train_points is {len(train[1])}, and all drew the same factor; expected more points"
        )
    model = LogisticRegression(random_state=0)  # which neither solver uses
    if mode == "dlib2019":
        model = OneVsRestClassifier(model.set_params(solver="liblinear"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(*train)
    fits = model.estimators_ if mode == "dlib2019" else [model]
    return BetaVAEScore(
        value=float(np.mean(model.predict(test[0]) == test[1])),
        train_accuracy=float(np.mean(model.predict(train[0]) == train[1])),
        converged=all(bool(np.all(fit.n_iter_ < fit.max_iter)) for fit in fits),
    )


METRIC = Metric(
    id="beta_vae@1",
    title="beta-VAE score",
    paper="Higgins et al. 2017",
    function=beta_vae,
    published={"train_points": 10_000, "test_points": 5_000, "batch": 64},
    headline="beta_vae",
    modes=("dlib", "dlib2019"),
)
