"""InfoMEC (Hsu et al. 2023): modularity, explicitness and compactness as shares of information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import (
    _information,
    _ksg,
    _linear_information,
    _logistic,
    _points,
    _reference,
    _scale,
    _split,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class InfoMEC:
    """The three scores and their parts; ``float(result)`` is InfoM.

    Attributes:
        infom: modularity.
        infoe: explicitness.
        infoc: compactness.
        normalised: (D, F) information of each code about each factor, divided by the factor's entropy.
        active: (D,) which codes InfoM and InfoC look at.
        per_code: (D,) modularity of each code; 0 for one that is not active.
        per_factor: (F,) compactness of each factor.
        explicitness: (F,) share of each factor's entropy that a linear classifier predicts.
        converged: whether all logistic regressions met their tolerance.
    """

    infom: float
    infoe: float
    infoc: float
    normalised: Floats
    active: NDArray[np.bool_]
    per_code: Floats
    per_factor: Floats
    explicitness: Floats
    converged: bool

    def __float__(self) -> float:
        return self.infom

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {"infomec_m": self.infom, "infomec_e": self.infoe, "infomec_c": self.infoc}


def infomec(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    rng: _points.Rng | np.random.RandomState = 0,
    train_points: int | None = None,
    test_points: int | None = None,
    latents: Literal["continuous", "discrete"] = "continuous",
    mode: Literal["default", "paper"] = "default",
) -> InfoMEC:
    """InfoM, InfoE and InfoC: does each code tell of one factor, linearly all of it, and alone?

    With N(d, k) = I(code d; factor k) / H(factor k) on the training points, A the active codes::

        InfoM = mean over d in A of  (max_k N(d, k) / sum_k N(d, k) - 1/F) / (1 - 1/F)
        InfoC = mean over k of       (max_d N(d, k) / sum_d N(d, k) - 1/|A|) / (1 - 1/|A|)    d in A
        InfoE = mean over k of       1 - L(k) / log(classes of k)

    I is estimated from nearest neighbours (Ross 2014, 10 of them), or with discrete latents as plug-in
    information of the codes' values. A code is active where its range is more than a twentieth of the
    largest (discrete: not 0). L is the cross-entropy on the test points of a logistic regression fitted
    to the training points, on all codes, z-scored (discrete: one-hot). All classes weigh the same.

    All range from 0 to 1. InfoM 1: each active code tells of one factor. InfoC 1: of each factor one
    code tells. InfoE 1: a linear classifier reads every factor from the codes. 0: codes tell equally
    much of all factors; all codes tell equally much; nothing can be read. InfoM and InfoC are ratios,
    and the information of noise comes out as 0 or a little more, by accident: **codes of noise can have
    any InfoM**, which means something together with InfoE only. A code or factor without information
    counts as 0 (the authors' code divides 0 by 0); with one factor, or one active code, a code or factor
    with information counts as 1.

    The authors' regression is unpenalised. Where classes can be separated that has no minimum, and one
    wrong test point can cost any number of nats. Here it has a weak penalty, scikit-learn's C = 10,000.
    A classifier worse than none counts as 0. Test points of a class without training points are left
    out, for nothing gives them a probability.

    Mode ``"paper"`` does as the authors' code: InfoE is fitted and scored on the training points, without
    a penalty, by scikit-learn's 100 iterations, and scored without weights; `test` and `test_points` are
    not used, and without `train_points` all rows are training points. That makes InfoE larger: on the
    golden cases by up to 0.011 for noise (0.000 in the default), 0.024 for ``shapes3d_dead`` (0.948) and
    0.054 for ``mini_noisycopies`` (0.659). InfoM and InfoC are the same but for the points.

    Otherwise training and test points are chosen as in `disentangle.metrics.dci.dci`, but no row is drawn
    twice: it would be its own nearest neighbour, which looks like information. Where the table has
    fewer rows than are asked for, all are used, in the same proportion.

    Args:
        codes: (N, D) real numbers; with discrete latents their values are only names.
        factors: (N, F) class indices.
        test: (codes, factors) of separate test points, of the same widths.
        rng: a seed or a generator, for the points, and for the noise of 1e-10 that tells equal values
            of a code apart (the authors' is not seeded); in mode ``"paper"`` a seed (the same one draws
            the same) or a `numpy.random.RandomState`.
        train_points: rows to draw for training, from `codes`.
        test_points: rows to draw for testing, from `test` or else `codes`.
        latents: ``"continuous"`` or ``"discrete"``.
        mode: ``"default"`` or ``"paper"``.

    Raises:
        InputError: the arrays or options cannot be used, a factor is constant in the training points,
            there are fewer of them than classes of a factor, or discrete codes have too many values.

    Source: Hsu et al. 2023, "Disentanglement via Latent Quantization", and its code.

    >>> from disentangle.metrics.infomec import infomec
    >>> import numpy as np
    >>> factors = np.tile(np.indices((3, 4)).reshape(2, -1).T, (40, 1))
    >>> result = infomec(factors * 1.0, factors)
    >>> [round(score, 2) for score in result.scores().values()]
    [1.0, 1.0, 1.0]
    """
    _points.check_mode(mode, "paper")
    if latents not in ("continuous", "discrete"):
        raise InputError(f"latents is {latents!r}; expected 'continuous' or 'discrete'")
    random = _reference.generator(rng, mode)
    if mode == "paper":
        table = _points.check(codes, factors)
        train = _points.sample(*table, train_points, random, field="train_points", replace=False)
    else:
        train, held_out = _split.split(codes, factors, test, random, train_points, test_points, disjoint=True)
    discrete = latents == "discrete"
    noise = random.standard_normal(len(train[0]))
    normalised = _normalised_information(train, discrete, noise)
    active = _active(train[0], discrete)
    per_code = np.zeros(len(active))
    per_code[active] = _concentration(normalised[active])
    per_factor = _concentration(normalised[active].T)
    with _logistic.one_thread():
        if mode == "paper":
            explicit, converged = _linear_information.fitted(train, discrete)
        else:
            explicit, converged = _linear_information.held_out(train, held_out, discrete)
    return InfoMEC(
        infom=float(per_code[active].mean()) if active.any() else 0.0,
        infoe=float(explicit.mean()),
        infoc=float(per_factor.mean()),
        normalised=normalised,
        active=active,
        per_code=per_code,
        per_factor=per_factor,
        explicitness=explicit,
        converged=converged,
    )


def _normalised_information(points: _split.Points, discrete: bool, noise: Floats) -> Floats:
    codes, factors = points
    if discrete:
        information = _information.mutual_information(_information.compact(codes), factors)
    else:
        information = _ksg.mutual_information(_scale.standardize(codes, codes[:1])[0], factors, noise)
    return np.asarray(information / _information.entropy(factors))


def _active(codes: _points.Codes, discrete: bool) -> NDArray[np.bool_]:
    half = codes.astype(np.float64) / 2  # so that the difference does not overflow
    ranges = half.max(axis=0) - half.min(axis=0)
    return np.asarray(ranges > (0.0 if discrete else ranges.max() / 20))


def _concentration(shares: Floats) -> Floats:
    """Of each row, 1 if one entry has all, 0 if all entries have the same or nothing."""
    if shares.shape[1] == 0:
        return np.zeros(len(shares))
    total, largest = shares.sum(axis=1), shares.max(axis=1)
    if (n := shares.shape[1]) == 1:
        return np.asarray((total > 0).astype(float))
    ratio = largest / np.where(total > 0, total, 1.0)
    return np.asarray(np.where(total > 0, np.clip((ratio - 1 / n) / (1 - 1 / n), 0.0, 1.0), 0.0))


METRIC = Metric(
    id="infomec@1",
    title="InfoMEC",
    paper="Hsu et al. 2023",
    function=infomec,
    published={"train_points": 10_000, "test_points": 5_000, "latents": "continuous"},
    headline="infomec_m",
    modes=("paper",),
)
