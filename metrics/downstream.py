"""Downstream accuracy (Locatello et al. 2019): how well, and from how few labels, are factors predicted?"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _logistic, _logistic_cv, _points, _reference, _split

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Classifier = Literal["logistic", "boosting"]
SIZES = (10, 100, 1_000, 10_000)


@dataclass(frozen=True, eq=False)
class Downstream:
    """Accuracies of classifiers fitted to few and to many points; ``float(result)`` is at the most.

    Attributes:
        value: mean accuracy over factors on the test points, with the largest number of training points.
        sizes: (S,) the numbers of training points.
        accuracy_test: (S, F) accuracy for each number and factor on the test points.
        accuracy_train: (S, F) the same on the training points.
        efficiency: (S,) mean test accuracy divided by the one at the largest number; 0 where that is 0.
        converged: whether all logistic regressions met their tolerance.
    """

    value: float
    sizes: tuple[int, ...]
    accuracy_test: Floats
    accuracy_train: Floats
    efficiency: Floats
    converged: bool

    def __float__(self) -> float:
        return self.value

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        smaller = list(enumerate(self.sizes[:-1]))
        return {
            "downstream": self.value,
            "downstream_train": float(self.accuracy_train[-1].mean()),
            **{f"downstream_{size}": float(self.accuracy_test[i].mean()) for i, size in smaller},
            **{f"downstream_efficiency_{size}": float(self.efficiency[i]) for i, size in smaller},
        }


def downstream(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    rng: _points.Rng | np.random.RandomState = 0,
    sizes: Sequence[int] = SIZES,
    test_points: int | None = None,
    classifier: Classifier = "logistic",
    mode: Literal["default", "dlib"] = "default",
) -> Downstream:
    """Accuracy of classifiers that predict the factors from the codes, and its share had from few points.

    For each number of training points and each factor a classifier is fitted to all codes; a score is
    its accuracy on other points, averaged over factors. The statistical efficiency at n points is the
    accuracy at n points divided by the accuracy at the largest number::

        downstream_efficiency_100 = downstream_100 / downstream

    Accuracies range from 0 to 1. 1: every factor is always predicted right. Chance is not 0 but a
    factor's most common class. Entangled codes can reach 1. The efficiency is 1 where a few points serve
    as well as many, and above 1 by accident only.

    Classifier ``"logistic"``: multinomial logistic regression, of ten penalties the one with the best
    accuracy in five folds (scikit-learn's ``LogisticRegressionCV(Cs=10, cv=KFold(5))``). Codes are not
    rescaled, so the penalty makes the score depend a little on their scale. ``"boosting"``:
    the trees of DCI, scikit-learn's ``GradientBoostingClassifier()`` up to ties.

    Whatever is drawn, a result is defined: a class that a fold's (or all) training points lack is
    predicted wrong; a factor that is constant in the training points is predicted as that constant.

    Mode ``"dlib"`` fits scikit-learn's estimator as it is. It stops after 100 iterations or at a
    gradient of 1e-4, often before the minimum, and takes ten times as long. The default compares
    and uses the minima themselves. In two draws from each of four synthetic representations (dSprites'
    factor sizes, 10 codes) the mean accuracies differ by up to 0.002 at 10,000 training points, by
    0.024 at 1,000 where each factor is a code (its 40 values are told apart by large weights only, which
    scikit-learn does not reach) and else by 0.002, and by up to 0.005 at 10 and 100; for a single factor
    read from codes of unequal scales and little noise 0.03 was seen. For trees the modes differ in ties
    only. None gives the numbers of scikit-learn before 0.22, which chose a penalty for each class
    against the rest.

    Args:
        codes: (N, D) real numbers; for trees within float32's range.
        factors: (N, F) class indices.
        test: (codes, factors) of separate test points, of the same widths.
        rng: a seed or a generator; in mode ``"dlib"`` a seed (the same one draws the same points in both
            modes) or a `numpy.random.RandomState`.
        sizes: numbers of training points, increasing, each at least 5; as many rows are drawn from
            `codes` with replacement, anew for each number.
        test_points: rows to draw for testing with replacement, anew for each number, from `test` or else
            from `codes` (a row can occur in both, as in the study, which drew 5,000). None: all rows of
            `test`, or else a random third of the table, from which then no training point is drawn.
        classifier: ``"logistic"`` or ``"boosting"``.
        mode: ``"default"`` or ``"dlib"``.

    Raises:
        InputError: the arrays or options cannot be used, a factor is constant in the table, or in mode
            ``"dlib"`` a fold lacks a class and the scikit-learn at hand does not allow it.

    Source: Locatello et al. 2019, "Challenging Common Assumptions in the Unsupervised Learning of
    Disentangled Representations", section 5.5.

    >>> from disentangle.metrics.downstream import downstream
    >>> import numpy as np
    >>> factors = np.indices((4, 5)).reshape(2, -1).T
    >>> result = downstream(factors * 1.0, factors, sizes=(10, 500))
    >>> float(result), result.accuracy_test.shape, sorted(result.scores())[1:3]
    (1.0, (2, 2), ['downstream_10', 'downstream_efficiency_10'])
    """
    _points.check_mode(mode, "dlib")
    random = _reference.generator(rng, mode)
    counts = _check_sizes(sizes)
    if classifier not in ("logistic", "boosting"):
        raise InputError(f"classifier is {classifier!r}; expected 'logistic' or 'boosting'")
    table = _points.check(codes, factors)
    test_points = None if test_points is None else _points.check_count(test_points, "test_points")
    if test is not None:
        held_out = _split._check_test(test, table)
    elif test_points is None:
        table, held_out = _split._thirds(table, random)
    else:
        held_out = table
    _points.check_factors(table[1], len(table[1]))
    if classifier == "boosting":
        for points, field in ((table, "codes"), (held_out, "test codes")):
            _points.check_float32(points[0], field)
    drawn = [
        (_points.draw(*table, size, random), _points.draw(*held_out, test_points, random)) for size in counts
    ]
    seeds = np.random.SeedSequence(int(random.integers(2**32)))
    with _logistic.one_thread():
        fits = [_accuracies(train, other, classifier, mode, seeds) for train, other in drawn]
    on_train, on_test = (np.array([fit[i] for fit in fits]) for i in range(2))
    mean = on_test.mean(axis=1)
    return Downstream(
        value=float(mean[-1]),
        sizes=counts,
        accuracy_test=on_test,
        accuracy_train=on_train,
        efficiency=mean / mean[-1] if mean[-1] > 0 else np.zeros(len(mean)),
        converged=all(fit[2] for fit in fits),
    )


def _check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    try:
        counts = tuple(_points.check_count(size, "sizes", least=_logistic_cv.FOLDS) for size in sizes)
    except TypeError:
        counts = ()
    if not counts or any(a >= b for a, b in itertools.pairwise(counts)):
        raise InputError(f"sizes is {sizes!r}; expected increasing numbers of training points")
    return counts


def _accuracies(
    train: _split.Points, test: _split.Points, classifier: str, mode: str, seeds: np.random.SeedSequence
) -> tuple[list[float], list[float], bool]:
    """Accuracy for each factor on the training and the test points, and whether all fits converged."""
    on_train, on_test, all_converged = [], [], True
    for labels, wanted in zip(train[1].T, test[1].T, strict=True):
        seed = int(seeds.spawn(1)[0].generate_state(1)[0])
        converged = True
        if (labels == labels[0]).all():
            ours, theirs = labels, np.full_like(wanted, labels[0])
        elif classifier == "boosting":
            ours, theirs = _predict_boosted(train[0], labels, test[0], seed, mode)
        elif mode == "dlib":
            ours, theirs, converged = _predict_reference(train[0], labels, test[0])
        else:
            ours, theirs, converged = _logistic_cv.predict(train[0], labels, test[0])
        on_train.append(float(np.mean(ours == labels)))
        on_test.append(float(np.mean(theirs == wanted)))
        all_converged = all_converged and converged
    return on_train, on_test, all_converged


def _predict_boosted(
    codes: _points.Codes, labels: Labels, test: _points.Codes, seed: int, mode: str
) -> tuple[Labels, Labels]:
    """Classes of the training and the test points by boosted trees, scikit-learn's or as fast ones."""
    if mode == "default":
        from disentangle.metrics import _boosting

        found = _boosting.boost(_boosting.sort_columns(codes), labels, test, seed)
        return found.train, found.test
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(random_state=seed).fit(codes, labels)
    return np.asarray(model.predict(codes)), np.asarray(model.predict(test))


def _predict_reference(
    codes: _points.Codes, labels: Labels, test: _points.Codes
) -> tuple[Labels, Labels, bool]:
    """Classes of the training and the test points by scikit-learn, and whether all folds converged."""
    from sklearn import __version__
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import KFold

    model: Any = LogisticRegressionCV(Cs=10, cv=KFold(n_splits=_logistic_cv.FOLDS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, which is reported, and of scikit-learn's plans
        try:
            model.fit(codes, labels)
        except ValueError as error:  # of versions before 1.8
            raise InputError(
                f"scikit-learn {__version__} cannot cross-validate {len(labels)} training points of which "
                f"a fold lacks a class ({error}); expected a newer one, larger sizes, or mode 'default'"
            ) from error
    return model.predict(codes), model.predict(test), bool(np.all(model.n_iter_ < model.max_iter))


METRIC = Metric(
    id="downstream@1",
    title="Downstream accuracy",
    paper="Locatello et al. 2019",
    function=downstream,
    published={"sizes": SIZES, "test_points": 5_000, "classifier": "logistic"},
    headline="downstream",
    modes=("dlib",),
)
