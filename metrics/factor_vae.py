"""The FactorVAE score (Kim and Mnih 2018): does the code that varies least tell which factor was fixed?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _batches, _points

Integers = NDArray[np.int64]

# The standard deviation below which a code is taken as collapsed to the prior.
_ACTIVE = 0.05


@dataclass(frozen=True, eq=False)
class FactorVAEScore:
    """The FactorVAE score and its parts; ``float(result)`` is the accuracy on the test votes.

    Attributes:
        value: accuracy on the test votes; 0 where no code is active.
        train_accuracy: accuracy on the training votes.
        per_factor: (F,) accuracy on the test votes of each factor; 0 for one that was never fixed.
        train_votes: (F, D) how often code d varied least with factor k fixed.
        test_votes: (F, D) the same for the test votes.
        variances: (D,) global variances of the codes.
        active: (D,) whether a code takes part.
    """

    value: float
    train_accuracy: float
    per_factor: NDArray[np.float64]
    train_votes: Integers
    test_votes: Integers
    variances: NDArray[np.float64]
    active: NDArray[np.bool_]

    def __float__(self) -> float:
        return self.value

    def scores(self) -> dict[str, float]:
        """What gets a row in tables; the last is the number of active codes."""
        return {
            "factor_vae": self.value,
            "factor_vae_train": self.train_accuracy,
            "factor_vae_active": float(self.active.sum()),
        }


def factor_vae(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    rng: _points.Rng | np.random.RandomState = 0,
    train_points: int = 10_000,
    test_points: int = 5_000,
    batch: int = 64,
    variance_points: int = 10_000,
    mode: Literal["default", "dlib"] = "default",
) -> FactorVAEScore:
    """Accuracy of a majority vote that tells the fixed factor by the code that varies least.

    Variances (with n - 1 in the denominator) of `variance_points` rows are the global ones; a code is
    active if its global standard deviation is at least 0.05. For one vote draw a factor k, a value of
    it, and `batch` rows with that value; the vote goes to the active code with the least
    ``variance in the batch / global variance`` (the first of equal ones)::

        train_votes[k, d] = how often code d won with factor k fixed
        classifier[d] = argmax over k of train_votes[k, d]     the first of equal ones
        score = sum over d of test_votes[classifier[d], d] / test_points

    Range 0 to 1. 1: the code that varies least always tells the factor; each factor may have several
    codes, and codes that no vote goes to may be entangled. 1/F: chance, as for codes of noise. 0: no
    code is active. The threshold makes the score depend on the scale of the codes; above it, it does not.

    The value of the fixed factor is that of a row drawn from the whole table. On a full grid that is
    the distribution of the reference; a table that is not a grid, or not balanced, works as well, in
    its own distribution. With a value that occurs in one row only no code varies, and the vote goes
    to the first active one.

    Mode ``"dlib"`` draws from `numpy.random.RandomState` in the reference's order and computes in the
    dtype of the codes (the default in float64), so that the reference's numbers come out; it needs a
    full grid, row-major. Such a row's id is ``factor_vae@dlib``. Both modes estimate the same number
    from different draws: on the golden representations, at published sizes, their means over 6 seeds
    differ by at most 0.004, where a seed alone moves either by up to 0.009 (standard deviation).
    The reference reports the number of all codes as ``num_active_dims`` unless none is active, and
    numbers the columns of its votes by active code; here active codes are counted, columns are codes.

    Args:
        codes: (N, D) real numbers, one row per image, any number of rows.
        factors: (N, F) class indices, F at least 2.
        rng: a seed or a generator; in mode ``"dlib"`` a seed or a `numpy.random.RandomState`.
        train_points: votes that the classifier is made of.
        test_points: votes that it is scored on.
        batch: rows in one vote, at least 2.
        variance_points: rows drawn for the global variances, at least 2.
        mode: ``"default"`` or ``"dlib"``.

    Raises:
        InputError: the arrays cannot be used, there is one factor only or a constant one, codes are
            so large that their squares overflow, or in mode ``"dlib"`` the table is no full grid.

    Source: Kim and Mnih 2018, "Disentangling by Factorising", in the form of Locatello et al. 2019
    (whose threshold of 0.05 this is).

    >>> from disentangle.metrics.factor_vae import factor_vae
    >>> import numpy as np
    >>> factors = np.indices((4, 5)).reshape(2, -1).T
    >>> result = factor_vae(factors * 1.0, factors, train_points=200, test_points=100)
    >>> float(result), result.test_votes.tolist()
    (1.0, [[59, 0], [0, 41]])
    """
    z, v = _points.check(codes, factors)
    z = np.ascontiguousarray(z)  # else every `take` copies the table
    _points.check_mode(mode, "dlib")
    train_points = _points.check_count(train_points, "train_points")
    test_points = _points.check_count(test_points, "test_points")
    batch = _points.check_count(batch, "batch", 2)
    variance_points = _points.check_count(variance_points, "variance_points")
    if variance_points == 1:
        raise InputError("variance_points is 1; expected at least 2, for one point has no variance")
    if v.shape[1] < 2:
        raise InputError("factors have 1 column; expected at least 2, for there is nothing to tell apart")
    counts, most = (train_points, test_points), max(batch, variance_points)
    if mode == "dlib":
        state, sizes = _points.random_state(rng), _batches.check_grid(v)
        _batches.check_range(z, _limit(_batches.grid_dtype(z), most))
        return grid_score(z, sizes, counts, batch, variance_points, state)
    random = _points.generator(rng)  # it refuses a RandomState
    _points.check_factors(v, len(v))
    _batches.check_range(z, _limit(np.float64, most))
    partners = [_batches.Partners(values) for values in v.T]
    # Seen from any row, a constant code is exactly 0, however large.
    view = View(z, z[0].astype(np.float64), np.float64)
    variances = view.variances(random.integers(len(z), size=variance_points))
    groups = (_batches.table_groups(partners, len(z), n, batch, random) for n in counts)
    return _score(view, variances, v.shape[1], *groups)


@dataclass(frozen=True)
class View:
    """Codes (N, D) as variances are taken of them: less `origin`, in `dtype`.

    Of the codes only `take` is used, so the rows may also be made when asked for.
    """

    codes: Any
    origin: Any
    dtype: Any

    def variances(self, rows: Integers) -> NDArray[Any]:
        """Of rows (..., n), over the last axis: (..., D)."""
        seen = np.subtract(self.codes.take(rows, axis=0), self.origin, dtype=self.dtype)
        return np.asarray(seen.var(axis=-2, ddof=1))


def grid_score(
    codes: Any,
    sizes: tuple[int, ...],
    counts: tuple[int, int],
    batch: int,
    variance_points: int,
    state: np.random.RandomState,
) -> FactorVAEScore:
    """The score of a full row-major grid of `sizes`, drawn in the reference's order.

    All points for the global variances come first, one draw of `variance_points` values per factor,
    then the training and the test votes, `counts` of them.
    """
    view = View(codes, 0, _batches.grid_dtype(codes))
    values = [state.randint(n, size=variance_points, dtype=np.int64) for n in sizes]
    variances = view.variances(_batches.grid_rows(values, sizes))
    groups = (_batches.grid_groups(sizes, n, batch, state) for n in counts)
    return _score(view, variances, len(sizes), *groups)


def _score(
    view: View,
    variances: NDArray[Any],
    factors: int,
    train_groups: Iterable[tuple[Integers, Integers]],
    test_groups: Iterable[tuple[Integers, Integers]],
) -> FactorVAEScore:
    active = np.sqrt(variances) >= _ACTIVE
    train, test = (_votes(view, variances, active, factors, groups) for groups in (train_groups, test_groups))
    told = train.argmax(axis=0) == np.arange(factors)[:, None]  # (F, D) a code's votes go to one factor
    right, of = (test * told).sum(axis=1), test.sum(axis=1)
    return FactorVAEScore(
        value=float(right.sum() / max(1, of.sum())),
        train_accuracy=float((train * told).sum() / max(1, train.sum())),
        per_factor=right / np.maximum(1, of),
        train_votes=train,
        test_votes=test,
        variances=variances.astype(np.float64),
        active=active,
    )


def _votes(
    view: View,
    variances: NDArray[Any],
    active: NDArray[np.bool_],
    factors: int,
    groups: Iterable[tuple[Integers, Integers]],
) -> Integers:
    votes = np.zeros((factors, len(active)), dtype=np.int64)
    if active.any():  # else, as in the reference, nothing is drawn
        at = np.flatnonzero(active)
        for labels, rows in groups:
            winners = (view.variances(rows)[:, at] / variances[at]).argmin(axis=1)
            np.add.at(votes, (labels, at[winners]), 1)
    return votes


def _limit(dtype: Any, points: int) -> float:
    """Up to which codes can be squared, summed over `points`, and divided by the least active variance."""
    return float(np.sqrt(np.finfo(dtype).max / (1e4 * points)))


METRIC = Metric(
    id="factor_vae@1",
    title="FactorVAE score",
    paper="Kim and Mnih 2018",
    function=factor_vae,
    published={"train_points": 10_000, "test_points": 5_000, "batch": 64, "variance_points": 10_000},
    headline="factor_vae",
    modes=("dlib",),
    units={"factor_vae_active": "codes"},
)
