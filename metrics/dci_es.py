"""DCI-ES (Eastwood et al. 2023): explicitness, how simple a predictor may be, and size, how few codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _logistic, _points, _scale, _split

Floats = NDArray[np.float64]
FEATURES = (0, 16, 32, 64, 128, 256, 512, 1024)  # of the probes; the authors' go on to 131,072
_FREQUENCY = 0.16 * np.pi  # radians per standard deviation of a code: the authors' 2 pi 0.08
_RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class DCIES:
    """Explicitness and size, and their parts; ``float(result)`` is the explicitness.

    Attributes:
        explicitness: the mean of `per_factor`.
        size: factors per code.
        informativeness: mean over factors of 1 - the smallest loss.
        per_factor: (F,) explicitness of each factor.
        loss: (P, F) loss of each probe for each factor on the test points, the smallest so far.
    """

    explicitness: float
    size: float
    informativeness: float
    per_factor: Floats
    loss: Floats

    def __float__(self) -> float:
        return self.explicitness

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {
            "dci_es_explicitness": self.explicitness,
            "dci_es_size": self.size,
            "dci_es_informativeness": self.informativeness,
        }


def dci_es(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    rng: _points.Rng = 0,
    train_points: int | None = None,
    test_points: int | None = None,
    nominal: Sequence[int] = (),
) -> DCIES:
    """Explicitness E: is a factor predicted as well by a simple probe as by a capable one? And size S.

    Probes of growing capacity are fitted to predict each factor from all codes; l[0], ..., l[P-1] are
    their losses on the test points, each the smallest of a probe up to that capacity. With the area between
    that curve and its end, by trapezes, and the area of the triangle from the loss 1 at the lowest capacity
    to 0 at the highest::

        per_factor = 1 - area / triangle = 1 - sum_k (l[k] + l[k+1] - 2 l[P-1]) / (P - 1)
        E = mean of per_factor                S = number of factors / number of codes

    E is at most 1: the simplest probe is as good as any. 0: the loss falls in a straight line to 0, the more
    capacity the better. Towards -1: only the most capable probe predicts anything. **A factor that no
    probe predicts has E 1 too**: nothing is gained by capacity. So E goes with the informativeness (1 -
    l[P-1], averaged), which is near 0 then. S is 1 for as many codes as factors, less for superfluous codes.
    D and C of DCI-ES are those of `disentangle.metrics.dci.dci`.

    The authors leave the probes open, and used networks, random Fourier features and forests. Here they are
    ridge regressions (penalty 1e-6) on the z-scored codes and 0, 16, 32, ..., 1024 random Fourier features of
    them, cosines and sines at frequencies from a normal distribution with the authors' deviation. The
    first probe is linear. Each doubling counts as the same step of capacity. The loss is the squared error
    divided by that of the training points' mean, at most 1. For it a factor's values are numbers, their
    ranks 0, 1, ...; for the columns in `nominal`, whose values have no order, one column of 0 and 1 for each.
    That triangle is the authors' code's; the paper's ends at the smallest loss instead of 0, which is
    undefined for noise.

    Training and test points are chosen as in `disentangle.metrics.dci.dci`.

    Args:
        codes: (N, D) real numbers.
        factors: (N, F) class indices.
        test: (codes, factors) of separate test points, of the same widths.
        rng: a seed or a generator, for the points and then the frequencies.
        train_points: rows to draw for training, from `codes`.
        test_points: rows to draw for testing, from `test` or else `codes`.
        nominal: columns of the factors whose values have no order, such as shapes.

    Raises:
        InputError: the arrays or options cannot be used, a factor is constant in the training points,
            there are fewer of them than classes of a factor, or one of the two numbers is missing.

    Source: Eastwood et al. 2023, "DCI-ES: An Extended Disentanglement Framework with Connections to
    Identifiability", and its code.

    >>> from disentangle.metrics.dci_es import dci_es
    >>> import numpy as np
    >>> factors = np.tile(np.indices((6, 8)).reshape(2, -1).T, (10, 1))
    >>> angles = factors * 2 * np.pi / [6, 8]
    >>> codes = factors @ [[1.0, 1.0], [1.0, -1.0]], np.hstack([np.cos(angles), np.sin(angles)])
    >>> round(float(dci_es(codes[0], factors)), 3), float(dci_es(codes[1], factors)) < 0.95
    (1.0, True)
    """
    random = _points.generator(rng)
    train, held_out = _split.split(codes, factors, test, random, train_points, test_points)
    unordered = _check_nominal(nominal, train[1].shape[1])
    z, z_test, constant = _scale.standardize(train[0], held_out[0])
    frequencies = random.normal(scale=_FREQUENCY, size=(z.shape[1], FEATURES[-1] // 2))
    targets = [
        _targets(labels, wanted, column in unordered)
        for column, (labels, wanted) in enumerate(zip(train[1].T, held_out[1].T, strict=True))
    ]
    x, x_test = (_features(each[:, ~constant], frequencies[~constant]) for each in (z, z_test))
    with _logistic.one_thread():
        predicted = _predictions(x, np.hstack([t[0] for t in targets]), x_test, (~constant).sum())
    loss = np.minimum.accumulate(_losses(predicted, targets), axis=0)
    per_factor = 1 - (loss[:-1] + loss[1:] - 2 * loss[-1]).sum(axis=0) / (len(FEATURES) - 1)
    return DCIES(
        explicitness=float(per_factor.mean()),
        size=train[1].shape[1] / z.shape[1],
        informativeness=float(1 - loss[-1].mean()),
        per_factor=per_factor,
        loss=loss,
    )


def _check_nominal(nominal: Sequence[int], count: int) -> set[int]:
    try:
        columns = {_points.check_count(column, "nominal", least=0) for column in nominal}
    except TypeError:
        columns = {count}
    if any(column >= count for column in columns):
        raise InputError(f"nominal is {nominal!r}; expected columns of the {count} factors, from 0")
    return columns


def _targets(labels: Any, wanted: Any, unordered: bool) -> tuple[Floats, Floats]:
    """What to predict of a factor at training (N, T) and test points, less the training points' mean."""
    values, ranks = np.unique(np.concatenate([labels, wanted]), return_inverse=True)
    columns = ranks.reshape(-1, 1) / (len(values) - 1)
    if unordered:
        columns = (ranks.reshape(-1, 1) == np.arange(len(values))).astype(np.float64)
    columns = columns - columns[: len(labels)].mean(axis=0)
    return columns[: len(labels)], columns[len(labels) :]


def _features(z: Floats, frequencies: Floats) -> Floats:
    """The codes and after them a cosine and a sine of each frequency in turn."""
    phase = np.clip(z, -1e6, 1e6) @ frequencies
    waves = np.stack([np.cos(phase), np.sin(phase)], axis=2).reshape(len(z), -1)
    return np.hstack([z, waves])


def _predictions(x: Floats, targets: Floats, x_test: Floats, codes: int) -> list[Floats]:
    """Of each probe, whose columns are the first ones of the next, at the test points."""
    from scipy.linalg import cholesky, solve_triangular

    mean = x.mean(axis=0)
    x, x_test = x - mean, x_test - mean
    gram = x.T @ x / len(x)
    gram[np.diag_indices_from(gram)] += _RIDGE
    # The factor of a leading block is the leading block of the factor.
    factor = cholesky(gram, lower=True, check_finite=False)
    half = solve_triangular(factor, x.T @ targets / len(x), lower=True, check_finite=False)
    predicted = []
    for extra in FEATURES:
        n = codes + extra
        block = factor[:n, :n].T
        weights = solve_triangular(block, half[:n], check_finite=False) if n else half[:0]
        predicted.append(np.clip(x_test[:, :n], -1e100, 1e100) @ weights)
    return predicted


def _losses(predicted: list[Floats], targets: list[tuple[Floats, Floats]]) -> Floats:
    """Squared error (P, F) relative to the training points' mean, at most 1; 0 where that mean is right."""
    result = np.ones((len(predicted), len(targets)))
    ends = np.cumsum([train.shape[1] for train, _ in targets])
    for j, ((train, wanted), end) in enumerate(zip(targets, ends, strict=True)):
        whole = (wanted**2).sum()
        for i, each in enumerate(predicted):
            error = ((wanted - each[:, end - train.shape[1] : end]) ** 2).sum()
            result[i, j] = min(1.0, error / whole) if whole > 0 else 0.0
    return result


METRIC = Metric(
    id="dci_es_rff@1",
    title="DCI-ES, random Fourier features",
    paper="Eastwood et al. 2023",
    function=dci_es,
    published={"train_points": 10_000, "test_points": 5_000, "nominal": ()},
    headline="dci_es_explicitness",
    units={"dci_es_size": "factors per code"},
)
