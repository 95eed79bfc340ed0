"""The beta-VAE score (Higgins et al. 2017): can one see which factor a batch of pairs has in common?"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _points

Features = NDArray[np.float64]
Labels = NDArray[np.int64]

# Differences held at once, in code vectors. Part of the stream of draws: do not make it an option.
_CHUNK = 32_768


@dataclass(frozen=True, eq=False)
class BetaVAEScore:
    """The beta-VAE score; ``float(result)`` is the accuracy on the test points.

    Attributes:
        value: accuracy on the test points.
        train_accuracy: accuracy on the training points.
        converged: whether the logistic regression met its tolerance within its 100 iterations. The
            reference stops there too, silently.
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
    mode: Literal["default", "dlib"] = "default",
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

    Mode ``"dlib"`` draws from `numpy.random.RandomState` in the reference's order, so that the
    reference's numbers come out; it needs a full grid, row-major. Such a row's id is
    ``beta_vae@dlib``.

    Args:
        codes: (N, D) real numbers, one row per image, any number of rows.
        factors: (N, F) class indices, F at least 2.
        rng: a seed or a generator; in mode ``"dlib"`` a seed or a `numpy.random.RandomState`.
        train_points: points that the classifier is fitted to.
        test_points: points that it is scored on.
        batch: pairs averaged in one point.
        mode: ``"default"`` or ``"dlib"``.

    Raises:
        InputError: the arrays cannot be used, there is one factor only or a constant one, fewer
            training points than factors, or in mode ``"dlib"`` the table is no full grid.

    Source: Higgins et al. 2017, "beta-VAE", in the form of Locatello et al. 2019 (both fit the
    classifier to differences averaged over the batch).

    >>> from disentangle.metrics.beta_vae import beta_vae
    >>> import numpy as np
    >>> factors = np.indices((4, 5)).reshape(2, -1).T
    >>> float(beta_vae(factors * 1.0, factors, train_points=200, test_points=100))
    1.0
    """
    z, v = _points.check(codes, factors)
    train_points = _points.check_count(train_points, "train_points")
    test_points = _points.check_count(test_points, "test_points")
    batch = _points.check_count(batch, "batch")
    if v.shape[1] < 2:
        raise InputError("factors have 1 column; expected at least 2, for there is nothing to tell apart")
    if train_points < v.shape[1]:
        raise InputError(f"train_points is {train_points}; expected at least one per factor, {v.shape[1]}")
    if mode == "dlib":
        state = _points.random_state(rng)
        sizes = check_grid(v)
        return _score(*(grid_points(z, sizes, n, batch, state) for n in (train_points, test_points)))
    if mode != "default":
        raise InputError(f"mode is {mode!r}; expected 'default' or 'dlib'")
    if isinstance(rng, np.random.RandomState):
        raise InputError("rng is a RandomState, which only mode 'dlib' uses; expected a seed or a Generator")
    random = _points.generator(rng)
    _points.check_factors(v, len(v))
    partners = [_Partners(values) for values in v.T]
    return _score(*(table_points(z, partners, n, batch, random) for n in (train_points, test_points)))


class _Partners:
    """The rows of a table sorted by one factor, to draw a row with the same value of that factor."""

    def __init__(self, values: NDArray[np.int64]) -> None:
        _, of_row, counts = np.unique(values, return_inverse=True, return_counts=True)
        self.order = np.argsort(of_row.reshape(-1), kind="stable")
        self.count = counts[of_row].reshape(-1)
        self.start = (np.cumsum(counts) - counts)[of_row].reshape(-1)

    def draw(self, rows: Labels, rng: np.random.Generator) -> Labels:
        """For each row one that agrees with it, uniformly, itself included."""
        return np.asarray(self.order[self.start[rows] + rng.integers(self.count[rows])])


def table_points(
    codes: _points.Codes, partners: list[_Partners], count: int, batch: int, rng: np.random.Generator
) -> tuple[Features, Labels]:
    """`count` points of any table: features (count, D) and the shared factors (count,)."""
    labels = rng.integers(len(partners), size=count)
    features = np.empty((count, codes.shape[1]))
    step = max(1, _CHUNK // batch)
    for start in range(0, count, step):
        label = labels[start : start + step]
        first = rng.integers(len(codes), size=(len(label), batch))
        second = np.empty_like(first)
        for k, partner in enumerate(partners):
            second[label == k] = partner.draw(first[label == k], rng)
        difference = codes[first].astype(np.float64) - codes[second]
        features[start : start + step] = np.abs(difference).mean(axis=1)
    return features, labels


def grid_points(
    codes: _points.Codes, sizes: tuple[int, ...], count: int, batch: int, state: np.random.RandomState
) -> tuple[Features, Labels]:
    """`count` points of a full row-major grid of `sizes`, drawn in the reference's order.

    Per point: the factor k; batch 1, one draw of `batch` values per factor, in factor order; batch 2
    likewise, of which factor k is then overwritten. Features keep the dtype of the codes until
    the mean is taken, as the reference's do.
    """
    if codes.dtype.kind != "f":  # differences of unsigned integers would wrap around
        codes = codes.astype(np.float64)
    labels = np.empty(count, dtype=np.int64)
    features = np.empty((count, codes.shape[1]))
    strides = np.append(np.cumprod(sizes[:0:-1])[::-1], 1).astype(np.int64)
    for i in range(count):
        labels[i] = k = state.randint(len(sizes), dtype=np.int64)
        first, second = (
            np.stack([state.randint(n, size=batch, dtype=np.int64) for n in sizes]) for _ in range(2)
        )
        second[k] = first[k]
        features[i] = np.abs(codes[strides @ first] - codes[strides @ second]).mean(axis=0)
    return features, labels


def check_grid(factors: _points.Factors) -> tuple[int, ...]:
    """The sizes of the full row-major grid that `factors` is.

    Raises:
        InputError: it is none.

    >>> check_grid(np.indices((2, 3)).reshape(2, -1).T)
    (2, 3)
    """
    sizes = tuple(int(n) + 1 for n in factors.max(axis=0))
    rows = 1
    for n in sizes:
        rows *= n
    expected = "expected every combination once, the last factor fastest, for mode 'dlib'"
    if rows != len(factors):
        raise InputError(
            f"factors have {len(factors)} rows where a full grid of sizes {sizes} has {rows}; {expected}"
        )
    wrong = factors != np.stack(np.unravel_index(np.arange(rows), sizes), axis=1)
    if wrong.any():
        row, column = _points.first_place(wrong)
        raise InputError(
            f"factors are no row-major grid of sizes {sizes}: row {row}, column {column} differs; {expected}"
        )
    return sizes


def _score(train: tuple[Features, Labels], test: tuple[Features, Labels]) -> BetaVAEScore:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if np.unique(train[1]).size < 2:
        raise InputError(
            f"train_points is {len(train[1])}, and all drew the same factor; expected more points"
        )
    model = LogisticRegression(random_state=0)  # lbfgs draws nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(*train)
    return BetaVAEScore(
        value=float(np.mean(model.predict(test[0]) == test[1])),
        train_accuracy=float(np.mean(model.predict(train[0]) == train[1])),
        converged=bool(np.all(model.n_iter_ < model.max_iter)),
    )


METRIC = Metric(
    id="beta_vae@1",
    title="beta-VAE score",
    paper="Higgins et al. 2017",
    function=beta_vae,
    published={"train_points": 10_000, "test_points": 5_000, "batch": 64},
    headline="beta_vae",
    modes=("dlib",),
)
