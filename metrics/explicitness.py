"""Explicitness (Ridgeway and Mozer 2018): can each factor's values be read from the codes linearly?"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _points, _reference, _scale, _split

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Explicitness:
    """An explicitness score and its parts; ``float(result)`` is the score on the test points.

    Attributes:
        test: the mean of `test_per_factor`.
        train: the mean of `train_per_factor`.
        test_per_factor: (F,) macro one-versus-rest area under the ROC curve on the test points.
        train_per_factor: (F,) the same on the training points.
        constant: (D,) which codes have the same value in all training points, and were not used.
        converged: whether all logistic regressions met their tolerance within their 100 iterations. The
            reference stops there too.
    """

    test: float
    train: float
    test_per_factor: Floats
    train_per_factor: Floats
    constant: NDArray[np.bool_]
    converged: bool

    def __float__(self) -> float:
        return self.test

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {"explicitness": self.test, "explicitness_train": self.train}


def explicitness(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    rng: _points.Rng | np.random.RandomState = 0,
    train_points: int | None = None,
    test_points: int | None = None,
    mode: Literal["default", "dlib2019"] = "default",
) -> Explicitness:
    """Explicitness: mean over factors of how well a logistic regression ranks each of its values.

    The codes are brought to mean 0 and standard deviation 1 on the training points. A logistic
    regression per factor (scikit-learn's default: multinomial, L2 with C = 1, lbfgs) is fitted to the
    training points. The area under the ROC curve (AUC) of a class is the chance that a point of the
    class gets a larger probability of it than a point of another class does (ties count half)::

        test_per_factor[k] = mean over classes of AUC(class against the rest) on the test points

    Range 0 to 1. 1: each value of each factor is ranked without error, by a linear function of all
    codes. 0.5: chance, as for noise or constant codes; a score is below 0.5 by accident only. Some
    code rescales it to ``2 * AUC - 1``; this is the plain AUC, as in the reference library, so
    perfect and useless codes are only 0.5 apart. Entangled codes can score 1 too, if the mixture is linear.

    A constant code is left out, where the reference fails (its z-score is 0 / 0). Every class
    of the test points is averaged over. One that was not in the training points has probability 0
    throughout and so an AUC of 0.5; one that is not in the test points has no AUC.

    Mode ``"dlib2019"`` takes the logistic regression that was scikit-learn's default in 2019: one
    class against the rest, by liblinear, which penalises the intercept too. Values in the middle of
    a code cannot be singled out then, and the scores are lower: on the golden cases by up to 0.072
    (``shapes3d_perfect``: 0.922 for 0.994), and the same for noise. With today's scikit-learn the
    reference gives the default's numbers to 2e-5 (it computes in the codes' float32, this in float64), so
    there is no mode ``"dlib"``.

    Training and test points are chosen as in `disentangle.metrics.dci.dci`.

    Args:
        codes: (N, D) real numbers.
        factors: (N, F) class indices.
        test: (codes, factors) of separate test points, of the same widths.
        rng: a seed or a generator, for choosing points (the fits draw nothing); in mode ``"dlib2019"`` a
            seed (the same one chooses the same points in both modes) or a `numpy.random.RandomState`.
        train_points: rows to draw for training, from `codes`; the studies drew 10,000.
        test_points: rows to draw for testing, from `test` or else `codes`; the studies drew 5,000.
        mode: ``"default"`` or ``"dlib2019"``.

    Raises:
        InputError: the arrays cannot be used, a factor is constant in the training or in the test points,
            there are fewer training points than classes of a factor, or one of the two numbers is
            missing.

    Source: Ridgeway and Mozer 2018, "Learning Deep Disentangled Embeddings With the F-Statistic
    Loss", in the form of Locatello et al. 2019.

    >>> from disentangle.metrics.explicitness import explicitness
    >>> import numpy as np
    >>> factors = np.tile(np.indices((2, 3)).reshape(2, -1).T, (20, 1))
    >>> float(explicitness(factors @ [[1.0, 1.0], [1.0, -1.0]], factors))
    1.0
    """
    _points.check_mode(mode, "dlib2019")
    random = _reference.generator(rng, mode)
    train, held_out = _split.split(codes, factors, test, random, train_points, test_points)
    _check_test(held_out[1])
    z, z_test, constant = _scale.standardize(train[0], held_out[0])
    fits = [
        _fit(z, labels, z_test, test_labels, mode)
        for labels, test_labels in zip(train[1].T, held_out[1].T, strict=True)
    ]
    on_train, on_test = (np.array([fit[i] for fit in fits]) for i in range(2))
    return Explicitness(
        test=float(on_test.mean()),
        train=float(on_train.mean()),
        test_per_factor=on_test,
        train_per_factor=on_train,
        constant=constant,
        converged=all(fit[2] for fit in fits),
    )


def _check_test(factors: _points.Factors) -> None:
    for column, values in enumerate(factors.T):
        if (values == values[0]).all():
            raise InputError(
                f"factors column {column} is constant, {int(values[0])}, in the test points ({len(values)} "
                "rows), so nothing can be ranked; expected at least two classes. Give more test points"
            )


def _fit(z: Floats, labels: Any, z_test: Floats, test_labels: Any, mode: str) -> tuple[float, float, bool]:
    """Macro AUC on the training and on the test points, and whether the fit converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    if mode == "default":
        model = LogisticRegression(random_state=0)  # lbfgs draws nothing
    else:  # liblinear draws nothing either in the primal form
        model = OneVsRestClassifier(LogisticRegression(solver="liblinear", random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(z, labels)
    single = getattr(model, "estimators_", [model])
    converged = all(bool(np.all(one.n_iter_ < one.max_iter)) for one in single)
    points = ((z, labels), (z_test, test_labels))
    on_train, on_test = (macro_auc(model.predict_proba(x), model.classes_, y) for x, y in points)
    return on_train, on_test, converged


def macro_auc(scores: Floats, classes: NDArray[Any], labels: NDArray[Any]) -> float:
    """Mean over the classes of `labels` of the area under the ROC curve of the class against the rest.

    Args:
        scores: (N, K) the larger, the more likely the class.
        classes: (K,) the class of each column; a class without a column has an area of 0.5.
        labels: (N,) with at least two classes.

    >>> macro_auc(np.array([[0.1, 0.9], [0.4, 0.6], [0.3, 0.7]]), np.array([0, 1]), np.array([1, 0, 0]))
    1.0
    """
    column = {value: scores[:, k] for k, value in enumerate(classes.tolist())}
    areas = [
        _auc(column[value], labels == value) if value in column else 0.5
        for value in np.unique(labels).tolist()
    ]
    return float(np.mean(areas))


def _auc(score: Floats, positive: NDArray[np.bool_]) -> float:
    """The share of pairs of a positive and a negative point that are in order, ties counting half."""
    ours, others = np.sort(score[positive]), np.sort(score[~positive])
    below = np.searchsorted(others, ours, "left").sum() + np.searchsorted(others, ours, "right").sum()
    return float(below / (2 * len(ours) * len(others)))


METRIC = Metric(
    id="explicitness@1",
    title="Explicitness",
    paper="Ridgeway and Mozer 2018",
    function=explicitness,
    published={"train_points": 10_000, "test_points": 5_000},
    headline="explicitness",
    modes=("dlib2019",),
)
