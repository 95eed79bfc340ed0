"""DCI (Eastwood and Williams 2018): disentanglement, completeness, informativeness from boosted trees."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _points, _reference, _split

if TYPE_CHECKING:
    from disentangle.metrics._boosting import Boosted

Floats = NDArray[np.float64]
_SMALL = 1e-11  # the reference's; it makes an all-zero row uniform


@dataclass(frozen=True, eq=False)
class DCI:
    """The DCI scores and their parts; ``float(result)`` is the disentanglement.

    Attributes:
        disentanglement: the mean of `per_code` weighted by the codes' share of all importance.
        completeness: the mean of `per_factor` weighted by the factors' share of all importance.
        informativeness_train: mean accuracy over factors on the training points.
        informativeness_test: the same on the test points.
        importance: (D, F) importance of each code for predicting each factor.
        per_code: (D,) disentanglement of each code.
        per_factor: (F,) completeness of each factor.
        accuracy_train: (F,) accuracy of each factor's classifier on the training points.
        accuracy_test: (F,) the same on the test points.
    """

    disentanglement: float
    completeness: float
    informativeness_train: float
    informativeness_test: float
    importance: Floats
    per_code: Floats
    per_factor: Floats
    accuracy_train: Floats
    accuracy_test: Floats

    def __float__(self) -> float:
        return self.disentanglement

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {
            "dci_disentanglement": self.disentanglement,
            "dci_completeness": self.completeness,
            "dci_informativeness_train": self.informativeness_train,
            "dci_informativeness_test": self.informativeness_test,
        }


def dci(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    rng: _points.Rng | np.random.RandomState = 0,
    train_points: int | None = None,
    test_points: int | None = None,
    mode: Literal["default", "dlib"] = "default",
    threads: int = 1,
    device: str = "cpu",
) -> DCI:
    """Disentanglement, completeness and informativeness of codes, by gradient boosted trees.

    A classifier per factor predicts the factor from all codes: gradient boosting as scikit-learn's
    `GradientBoostingClassifier` has it by default (100 trees per class, depth 3, learning rate 0.1).
    R (D, F) holds the classifiers' feature importances; see `dci_from_importance` for the two scores
    made of it. Informativeness is accuracy, averaged over factors.

    All range from 0 to 1. Disentanglement 1: each code that is used serves one factor; 0: each
    serves all equally. Completeness 1: each factor is predicted from one code; 0: from all equally.
    Informativeness 1: the classifiers are always right; chance is not 0 but a factor's most common
    class. Noise has small R differences and so scores near, not at, 0.

    Training and test points: with `test`, those two arrays; otherwise `train_points` rows and then
    `test_points` rows are drawn with replacement from the table (rows can occur in both, as in the
    studies); with neither, a random two thirds train and the rest test. A class that occurs in the
    test points only counts as wrongly predicted.

    Mode ``"default"`` grows the trees with compiled code of its own, 20 to 50 times faster than
    scikit-learn: the same splits and leaf values up to ties, that is splits with the same gain, such as
    on either of two equal codes. Those both choose at random, so that importances move by up to .01 from
    seed to seed where nodes are small, in scikit-learn as here. Mode ``"dlib"`` is scikit-learn's own
    estimator, drawing from one `RandomState` for all factors in order, as the reference did after
    ``numpy.random.seed``: the reference's numbers to the last digits, and the cross-check of the other
    mode. On the golden cases the two differ by at most .0033 in any of the four scores.

    Args:
        codes: (N, D) real numbers within float32's range.
        factors: (N, F) class indices.
        test: (codes, factors) of separate test points, of the same widths.
        rng: a seed or a generator; in mode ``"dlib"`` a seed or a `numpy.random.RandomState`.
        train_points: rows to draw for training, from `codes`; the studies drew 10,000.
        test_points: rows to draw for testing, from `test` or else `codes`; the studies drew 5,000.
        mode: ``"default"`` or ``"dlib"``.
        threads: how many factors are fitted at once; no number depends on it.
        device: ``"cpu"``, or ``"cuda"``: the trees as batched torch operations. Sums are then taken in
            another order, and near-ties may be decided differently.

    Raises:
        InputError: the arrays cannot be used, a factor is constant in the training points, there are
            fewer of them than classes of a factor, or one of the two numbers is missing.

    Source: Eastwood and Williams 2018, with the trees of Locatello et al. 2019.

    >>> from disentangle.metrics.dci import dci
    >>> import numpy as np
    >>> factors = np.tile(np.indices((2, 3)).reshape(2, -1).T, (10, 1))
    >>> result = dci(factors + 0.5, factors)
    >>> round(float(result), 6), round(result.completeness, 6), result.informativeness_test
    (1.0, 1.0, 1.0)
    """
    _points.check_mode(mode, "dlib")
    # Where all points are given, the reference's mode leaves a RandomState to the trees.
    draws = mode == "default" or test is None or train_points is not None or test_points is not None
    random = _reference.generator(rng, mode) if draws else np.random.default_rng(0)
    train, held_out = _split.split(codes, factors, test, random, train_points, test_points)
    _points.check_float32(train[0], "codes")
    _points.check_float32(held_out[0], "test codes")
    threads = _points.check_count(threads, "threads")
    place = _check_device(device)
    if mode == "dlib":
        fits = _reference_fits(train, held_out, _points.random_state(rng))
    else:
        fits = _fits(train, held_out, int(random.integers(2**32)), threads, place)
    importance = np.stack([fit[0] for fit in fits], axis=1)
    accuracy_train, accuracy_test = np.array([fit[1] for fit in fits]), np.array([fit[2] for fit in fits])
    disentanglement, completeness, per_code, per_factor = dci_from_importance(importance)
    return DCI(
        disentanglement=disentanglement,
        completeness=completeness,
        informativeness_train=float(accuracy_train.mean()),
        informativeness_test=float(accuracy_test.mean()),
        importance=importance,
        per_code=per_code,
        per_factor=per_factor,
        accuracy_train=accuracy_train,
        accuracy_test=accuracy_test,
    )


def dci_from_importance(importance: ArrayLike) -> tuple[float, float, Floats, Floats]:
    """Disentanglement and completeness of an importance matrix R (D, F) of non-negative numbers.

    ::

        per_code[i]   = 1 - H_F(R[i] + 1e-11)      entropy of the normalised row, logarithm to base F
        per_factor[j] = 1 - H_D(R[:, j] + 1e-11)   entropy of the normalised column, to base D
        disentanglement = sum_i rho_i per_code[i]      rho_i = share of row i in the sum of R
        completeness    = sum_j gamma_j per_factor[j]  gamma_j = share of column j

    An all-zero R counts as uniform: both scores are 0. With one factor (or one code) there is
    nothing to spread over, and the entropy is taken as 0.

    Returns:
        (disentanglement, completeness, per_code (D,), per_factor (F,)).

    Raises:
        InputError: not 2-D, empty, not finite or negative.

    >>> disentanglement, completeness, *_ = dci_from_importance([[1.0, 0.0], [0.0, 0.5], [0.0, 0.5]])
    >>> round(disentanglement, 6), round(completeness, 6)
    (1.0, 0.684535)
    """
    r = _points.check_table(importance, "importance", "(D, F)").astype(np.float64)
    if (r < 0).any():
        row, column = _points.first_place(r < 0)
        raise InputError(
            f"importance is {r[row, column]} in row {row}, column {column}; expected no negative number"
        )
    per_code, per_factor = (np.maximum(0.0, 1.0 - _row_entropy(m)) for m in (r, r.T))
    share = r if r.sum() > 0 else np.ones_like(r)
    share = share / share.sum()
    disentanglement = float((per_code * share.sum(axis=1)).sum())
    completeness = float((per_factor * share.sum(axis=0)).sum())
    return disentanglement, completeness, per_code, per_factor


def _row_entropy(r: Floats) -> Floats:
    """Entropy of each normalised row, to the base of its length."""
    if r.shape[1] == 1:
        return np.zeros(len(r))
    p = r + _SMALL
    p = p / p.sum(axis=1, keepdims=True)
    return np.asarray(-(p * np.log(p)).sum(axis=1) / np.log(r.shape[1]))


def _check_device(device: str) -> str:
    """`device`, if it is there; torch is imported for any but the processor."""
    if device == "cpu":
        return device
    from disentangle.train import choose_device

    return str(choose_device(device))


Fit = tuple[Floats, float, float]  # a factor's importances (D,), accuracy on training and on test points


def _fits(train: _split.Points, test: _split.Points, seed: int, threads: int, device: str) -> list[Fit]:
    """One fit per factor; factor k decides ties by ``SeedSequence(seed, spawn_key=(k,))``."""
    from disentangle.metrics import _boosting

    columns = _boosting.sort_columns(train[0])

    def fit(factor: int) -> Fit:
        state = np.random.SeedSequence(seed, spawn_key=(factor,)).generate_state(1)[0]
        labels, truth = train[1][:, factor], test[1][:, factor]
        found: Boosted = _boosting.boost(columns, labels, test[0], int(state), device=device)
        return found.importance, float(np.mean(found.train == labels)), float(np.mean(found.test == truth))

    # The factor with the most classes takes longest, so it begins.
    largest = sorted(range(train[1].shape[1]), key=lambda k: -np.unique(train[1][:, k]).size)
    with ThreadPoolExecutor(threads) as pool:
        found = dict(zip(largest, pool.map(fit, largest), strict=True))
    return [found[k] for k in range(len(found))]


def _reference_fits(train: _split.Points, test: _split.Points, state: np.random.RandomState) -> list[Fit]:
    """One fit per factor by scikit-learn, all drawing from one state."""
    from sklearn.ensemble import GradientBoostingClassifier

    fits: list[Fit] = []
    for labels, truth in zip(train[1].T, test[1].T, strict=True):
        model = GradientBoostingClassifier(random_state=state).fit(train[0], labels)
        accuracy, test_accuracy = (
            np.mean(model.predict(z) == v) for z, v in ((train[0], labels), (test[0], truth))
        )
        fits.append((np.abs(model.feature_importances_), float(accuracy), float(test_accuracy)))
    return fits


METRIC = Metric(
    id="dci_gbt@2",
    title="DCI, boosted trees",
    paper="Eastwood and Williams 2018",
    function=dci,
    published={"train_points": 10_000, "test_points": 5_000},
    headline="dci_disentanglement",
    modes=("dlib",),
    matrices={"importance": ""},
)
