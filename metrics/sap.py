"""SAP (Kumar et al. 2018): by how much does the best single code predict a factor better than the next?"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _hinge, _information, _points, _reference, _scale, _split

Floats = NDArray[np.float64]

_C = 0.01
_LARGEST = 1e30  # scikit-learn's solver does not return from 1e100
_LEAST_VARIANCE = 1e-12  # of a code, in the continuous kind; the reference's


@dataclass(frozen=True, eq=False)
class SAP:
    """A SAP score and its parts; ``float(result)`` is the score.

    Attributes:
        value: the mean of `per_factor`.
        per_factor: (F,) largest minus second largest entry of each column of `matrix`.
        matrix: (D, F) how well each code alone predicts each factor: accuracy on the test points, or
            in the continuous kind the squared correlation on the training points.
        converged: whether all classifiers met their tolerance. In the default mode only a code with an
            outlier about a million times as far out as the other points does not.
    """

    value: float
    per_factor: Floats
    matrix: Floats
    converged: bool

    def __float__(self) -> float:
        return self.value

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {"sap": self.value}


def sap(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    rng: _points.Rng | np.random.RandomState = 0,
    train_points: int | None = None,
    test_points: int | None = None,
    kind: Literal["discrete", "continuous"] = "discrete",
    mode: Literal["default", "dlib", "dlib2019"] = "default",
) -> SAP:
    """Separated attribute predictability: mean over factors of (best - second best) single code.

    ::

        per_factor[k] = matrix[d1, k] - matrix[d2, k]    d1, d2 the codes with the largest entries

    Kind ``"discrete"``, the published one: ``matrix[d, k]`` is the accuracy on the test points of a
    linear support vector machine that predicts factor k from code d alone, one class against the rest,
    fitted to the training points: scikit-learn's ``LinearSVC(C=0.01, class_weight="balanced")``. Kind
    ``"continuous"``: the squared correlation of code d and the values of factor k on the
    training points, 0 for a code with a variance of 1e-12 or less; test points are not used.

    Range 0 to 1. 0: for every factor two codes predict equally well. Perfect codes do not reach 1 in
    the discrete kind: a linear rule cannot single out a value in the middle of a code (0.19 for
    ``shapes3d_perfect`` of the golden cases), and even a constant code has the accuracy of a guess. In
    the continuous kind 1 means that each factor is a linear function of one code and unrelated to all
    others. With one code only, the second best is a constant code. The penalty of the classifier
    makes the discrete kind depend on the scale of the codes: codes scaled far down predict the most
    frequent class.

    Modes, which differ in the discrete kind only:

    - ``"default"``: the minimum of the machine's objective, exactly, in a tenth of the time. Classes
      that tie share a point, so neither the solver's last digits nor the numbering of classes decide;
      a constant code predicts the most frequent class, or half of two classes. `rng` draws points
      only.
    - ``"dlib"``: the reference library with today's scikit-learn, whose solver (``dual=False``) draws
      nothing and stops at a tolerance of 1e-4. On the golden cases it differs from the default in 10
      of 600 entries, by 1 point of 1,000 and once by 6, and by 1.7e-4 at most in the score.
    - ``"dlib2019"``: with the scikit-learn of its time, whose solver (``dual=True``) draws: a seed is
      given to every classifier, a `numpy.random.RandomState` is drawn from as the reference draws
      from NumPy's global one. With seed 0 the score is the default's in all golden cases, and 5
      entries differ, by up to 2 points of 1,000; other seeds move an entry by up to 9 and the score by
      3.3e-4.

    Training and test points are chosen as in `disentangle.metrics.dci.dci`. A class that occurs in the
    test points only counts as wrongly predicted.

    Args:
        codes: (N, D) real numbers.
        factors: (N, F) class indices; in the continuous kind their values count.
        test: (codes, factors) of separate test points, of the same widths.
        rng: a seed or a generator; in the two other modes a seed or a `numpy.random.RandomState`.
        train_points: rows to draw for training, from `codes`; the studies drew 10,000.
        test_points: rows to draw for testing, from `test` or else `codes`; the studies drew 5,000.
        kind: ``"discrete"`` or ``"continuous"``.
        mode: ``"default"``, ``"dlib"`` or ``"dlib2019"``.

    Raises:
        InputError: the arrays cannot be used, a factor is constant in the training points, there are
            fewer of them than classes of a factor, or one of the two numbers is missing; in the two
            other modes also codes beyond 1e30.

    Source: Kumar et al. 2018, "Variational Inference of Disentangled Latent Concepts from Unlabeled
    Observations", with the classifier of Locatello et al. 2019.

    >>> from disentangle.metrics.sap import sap
    >>> import numpy as np
    >>> factors = np.tile(np.indices((2, 2)).reshape(2, -1).T, (30, 1))
    >>> codes = 10.0 * factors
    >>> round(float(sap(codes, factors, test=(codes, factors))), 6)
    0.5
    >>> round(float(sap(codes, factors, test=(codes, factors), kind="continuous")), 6)
    1.0
    """
    _points.check_mode(mode, "dlib", "dlib2019")
    if kind not in ("discrete", "continuous"):
        raise InputError(f"kind is {kind!r}; expected 'discrete' or 'continuous'")
    random = _reference.generator(rng, mode)
    train, held_out = _split.split(codes, factors, test, random, train_points, test_points)
    width = train[0].shape[1]
    if width == 1:
        train, held_out = (_with_constant_code(points) for points in (train, held_out))
    if kind == "continuous":
        matrix, converged = _squared_correlation(*train), True
    elif mode == "default":
        matrix, converged = _exact_accuracy(train, held_out)
    else:
        matrix, converged = _accuracy(train, held_out, dual=mode == "dlib2019", seed=rng)
    ranked = np.sort(matrix, axis=0)
    per_factor = ranked[-1] - ranked[-2]
    return SAP(float(per_factor.mean()), per_factor, matrix[:width], converged)


def _with_constant_code(points: _split.Points) -> _split.Points:
    return np.hstack([points[0], np.zeros_like(points[0])]), points[1]


def _exact_accuracy(train: _split.Points, test: _split.Points) -> tuple[Floats, bool]:
    """Accuracies (D, F) at the minimum of the objective."""
    of = _hinge.machines(_information.compact(train[1]), _C)
    labels = np.stack([_class_numbers(*pair) for pair in zip(train[1].T, test[1].T, strict=True)], axis=1)
    labels = np.where(labels >= 0, labels + of.first[:-1], -1)
    fits = [_hinge.accuracy(z, z_test, of, labels) for z, z_test in zip(train[0].T, test[0].T, strict=True)]
    return np.stack([fit[0] for fit in fits]), all(fit[1] for fit in fits)


def _class_numbers(train: NDArray[np.int64], test: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each test value among the training values' classes, -1 for a value not among them."""
    classes = np.unique(train)
    place = np.searchsorted(classes, test).clip(max=len(classes) - 1)
    return np.where(classes[place] == test, place, -1)


def _accuracy(train: _split.Points, test: _split.Points, *, dual: bool, seed: Any) -> tuple[Floats, bool]:
    """Accuracies (D, F) of scikit-learn's classifier, code by code, each in the order of the factors."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    for z, field in ((train[0], "codes"), (test[0], "test codes")):
        _check_size(z, field)
    matrix, converged = np.empty((train[0].shape[1], train[1].shape[1])), True
    for i, j in np.ndindex(*matrix.shape):
        model = LinearSVC(C=_C, class_weight="balanced", dual=dual, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(train[0][:, [i]], train[1][:, j])
        matrix[i, j] = np.mean(model.predict(test[0][:, [i]]) == test[1][:, j])
        converged &= bool(model.n_iter_ < model.max_iter)
    return matrix, converged


def _check_size(codes: _points.Codes, field: str) -> None:
    if (large := np.abs(codes.astype(np.float64)) > _LARGEST).any():
        row, column = _points.first_place(large)
        raise InputError(
            f"{field} are {codes[row, column]} in column {column}, too large for scikit-learn's solver; "
            f"expected magnitudes up to {_LARGEST}, or mode 'default'"
        )


def _squared_correlation(codes: _points.Codes, factors: _points.Factors) -> Floats:
    """Squared correlations (D, F), 0 for a code that hardly varies."""
    x, exponents = _scale.unit(codes)
    y = factors.astype(np.float64)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    x_squares, y_squares = (x**2).sum(axis=0), (y**2).sum(axis=0)
    with np.errstate(over="ignore", under="ignore"):
        least = np.ldexp(np.sqrt(_LEAST_VARIANCE * (len(x) - 1)), -exponents)
    varies = np.sqrt(x_squares) > least
    x_squares[~varies] = np.inf
    return np.asarray(np.minimum(1.0, (x.T @ y) ** 2 / np.outer(x_squares, y_squares)))


METRIC = Metric(
    id="sap@1",
    title="SAP",
    paper="Kumar et al. 2018",
    function=sap,
    published={"kind": "discrete", "train_points": 10_000, "test_points": 5_000},
    headline="sap",
    modes=("dlib", "dlib2019"),
)
