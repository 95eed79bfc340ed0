"""Unsupervised disentanglement ranking (Duan et al. 2020): do models of one setting find the same codes?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError
from disentangle.find import Metric
from disentangle.metrics import _points, _reference, _scale

Floats = NDArray[np.float64]

_SWEEPS = 1000  # of the coordinate descent, as in scikit-learn
_PATIENCE = 25  # sweeps
_TOLERANCE = 1e-12  # of coefficients whose scale is 1
_SLACK = 1e-11  # of correlations, in the conditions of an optimum
_ZEROED = 0.01  # the reference sets codes to zero by this number, whatever its threshold


@dataclass(frozen=True, eq=False)
class UDR:
    """How alike M models of one setting are; ``float(result)`` is the mean of `model_scores`.

    Attributes:
        model_scores: (M,) each model's median over its partners.
        pairwise: (M, M) the score of model i's codes (row) as predictors of model j's (column); the
            diagonal is 0 and unused.
        kept: for each model, which codes were compared.
        converged: whether all regressions met their tolerance; True for Spearman's correlation.
    """

    model_scores: Floats
    pairwise: Floats
    kept: tuple[NDArray[np.int64], ...]
    converged: bool

    def __float__(self) -> float:
        return float(self.model_scores.mean())

    def scores(self) -> dict[str, float]:
        """What gets a row in tables."""
        return {"udr": float(self)}


def udr(
    codes: Sequence[ArrayLike],
    *,
    kl: Sequence[ArrayLike] | None = None,
    correlation: Literal["lasso", "spearman"] = "lasso",
    alpha: float = 0.1,
    kl_threshold: float = 0.01,
    points: int | None = None,
    rng: _points.Rng | np.random.RandomState = 0,
    mode: Literal["default", "dlib"] = "default",
) -> UDR:
    """Unsupervised disentanglement ranking: how alike the codes of models are that differ by the seed.

    For a pair of models, R (D_i, D_j) relates each code of one to each of the other: the absolute
    coefficients of a Lasso regression of each z-scored code of model j on all of model i (objective
    ``1/(2N) |y - Z w|^2 + alpha |w|_1``), or the absolute Spearman correlations. Then::

        pairwise[i, j] = 1/2 (mean over columns b of max_a R[a, b]^2 / sum_a R[a, b]
                              + mean over rows a of max_b R[a, b]^2 / sum_b R[a, b])
        model_scores[j] = median over i != j of pairwise[i, j]

    with 0/0 = 0. The higher a model's score, the more of its codes are codes of its partners, up to
    order, sign and scale, which models that disentangle should agree in. The score of a single model
    is for choosing among models; the mean over the models, which is ``float(result)``, is this
    suite's summary of a setting.

    0: no code has to do with any of a partner. Same independent codes: 1 with ``"spearman"``, but
    ``1 - alpha`` with ``"lasso"``, whose penalty shortens the coefficients. Lasso scores can exceed
    1 where the codes of a model are strongly correlated. Codes related by a function that is not
    monotonic count as unrelated. A model without a code that counts scores 0.

    Codes with ``kl <= kl_threshold``, which the posterior does not use, and constant codes are left
    out of the regressions and the means. Without `kl` only constant codes are.

    Mode ``"dlib"`` gives the reference library's numbers, in a row under ``udr@dlib``. There codes
    with KL of at most 0.01 are set to zero, those of at most `kl_threshold` are left out of the
    means, and constant codes stay in them, as codes without a partner. Spearman's correlation with a
    constant code is NaN, and every row and column with a NaN counts as 0: two models with one
    constant code each score 0, whatever the others are. The modes are equal where `kl` drops every
    constant code. The reference's `filter_low_kl=False` is this mode with such codes zeroed and `kl`
    not given; it takes the alike pair of the golden models from 0.895 to 0.627 (Lasso), and from
    0.850 to 0 (Spearman). Its regressions stop at a tolerance of 1e-4, these at 1e-12; in the golden
    cases that moves a score by up to 1e-7.

    Args:
        codes: two or more tables (N, D_i) of real numbers, one per model; row n of each belongs to the
            same image. Needs 8 N sum(D_i) bytes beside them.
        kl: for each model (D_i,) numbers, the KL of each code's posterior from the prior, averaged
            over images, in nats.
        correlation: ``"lasso"`` or ``"spearman"``.
        alpha: the penalty of the Lasso.
        kl_threshold: codes with a KL up to this are left out.
        points: how many rows to draw with replacement, the same of each model; None uses all rows,
            once each, and draws nothing.
        rng: a seed or a generator, for drawing the points; in mode ``"dlib"`` a seed or a
            `numpy.random.RandomState`. A seed draws the same points in both.
        mode: ``"default"`` or ``"dlib"``.

    Raises:
        InputError: there are fewer than two models, their tables cannot be used or differ in length,
            `kl` does not fit them, or an option is none of the above.

    Source: Duan et al. 2020, "Unsupervised Model Selection for Variational Disentangled Representation
    Learning", with the two means of the reference's code; the paper's formula pools rows and columns
    in one mean, which is the same where the two models have equally many codes that count.

    >>> from disentangle.metrics.udr import udr
    >>> import numpy as np
    >>> codes = np.indices((4, 5)).reshape(2, -1).T - 2.0
    >>> round(float(udr([codes, -3 * codes[:, ::-1]])), 6)
    0.9
    >>> round(float(udr([codes, codes @ [[1, 1], [1, -1]]], correlation="spearman")), 6)
    0.396837
    """
    dlib = _points.check_mode(mode, "dlib") == "dlib"
    if correlation not in ("lasso", "spearman"):
        raise InputError(f"correlation is {correlation!r}; expected 'lasso' or 'spearman'")
    penalty = _check_number(alpha, "alpha", 0)
    threshold = _check_number(kl_threshold, "kl_threshold")
    tables = _check_tables(codes)
    used = _check_kl(kl, tables)
    columns = [_columns(z, ranks=correlation == "spearman") for z in _draw(tables, points, rng, dlib)]
    kept = [of_model > threshold for of_model in used]
    if not dlib:
        kept = [k & z.any(axis=0) for k, z in zip(kept, columns, strict=True)]
    fitted = [of_model > _ZEROED for of_model in used] if dlib else kept
    columns = [z * f for z, f in zip(columns, fitted, strict=True)]
    relations, converged = _relate(columns, penalty if correlation == "lasso" else None, dlib)
    pairwise = np.zeros((len(tables), len(tables)))
    for i, j in zip(*np.nonzero(~np.eye(len(tables), dtype=bool)), strict=True):
        pairwise[i, j] = _strength(relations[i][j][kept[i]][:, kept[j]])
    return UDR(
        model_scores=np.array([np.median(np.delete(column, i)) for i, column in enumerate(pairwise.T)]),
        pairwise=pairwise,
        kept=tuple(np.flatnonzero(k) for k in kept),
        converged=converged,
    )


def _check_number(value: Any, field: str, least: float = -np.inf) -> float:
    number = isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool)
    if not number or not least < value < np.inf:
        raise InputError(f"{field} is {value!r}; expected a number above {least:g}")
    return float(value)


def _check_tables(codes: Any) -> list[_points.Codes]:
    if isinstance(codes, str | dict) or not hasattr(codes, "__len__"):
        raise InputError(f"codes are a {type(codes).__name__}; expected a list of tables, one per model")
    if len(codes) < 2:
        raise InputError(f"codes have {len(codes)} models; expected at least 2, to compare them")
    tables = [_points.check_table(z, f"codes[{i}]", "(N, D)") for i, z in enumerate(codes)]
    for i, z in enumerate(tables):
        if len(z) != len(tables[0]):
            raise InputError(
                f"codes[{i}] have {len(z)} rows and codes[0] {len(tables[0])}; "
                "expected the codes of the same images from every model"
            )
    if len(tables[0]) < 2:
        raise InputError("codes have 1 row; expected at least 2")
    return tables


def _check_kl(kl: Any, tables: list[_points.Codes]) -> list[Floats]:
    """Each code's KL; infinite where none is given."""
    if kl is None:
        return [np.full(z.shape[1], np.inf) for z in tables]
    if not hasattr(kl, "__len__") or len(kl) != len(tables):
        found = len(kl) if hasattr(kl, "__len__") else type(kl).__name__
        raise InputError(f"kl is of {found} models; expected {len(tables)} arrays, as many as codes")
    found_kl = []
    for i, (of_model, z) in enumerate(zip(kl, tables, strict=True)):
        row = of_model[None] if hasattr(of_model, "detach") else [of_model]
        values = _points.check_table(row, f"kl[{i}]", "(1, D)")[0]
        if len(values) != z.shape[1]:
            raise InputError(
                f"kl[{i}] has {len(values)} numbers; expected {z.shape[1]}, one per code of codes[{i}]"
            )
        found_kl.append(values.astype(np.float64))
    return found_kl


def _draw(tables: list[_points.Codes], points: int | None, rng: Any, dlib: bool) -> list[_points.Codes]:
    """The same rows of every table."""
    generator = _reference.generator(rng, "dlib" if dlib else "default")
    if points is None:
        return tables
    rows = generator.integers(len(tables[0]), size=_points.check_count(points, "points", least=2))
    return [z[rows] for z in tables]


def _columns(z: _points.Codes, *, ranks: bool) -> Floats:
    """The codes or their ranks as columns of mean 0 and length 1; all zero where they are constant."""
    if ranks:
        from scipy.stats import rankdata

        z = rankdata(z, axis=0)
    z = np.ascontiguousarray(z)
    return np.asarray(_scale.standardize(z, z[:1])[0] / np.sqrt(len(z)))


def _relate(columns: list[Floats], alpha: float | None, dlib: bool) -> tuple[list[list[Floats]], bool]:
    """R of every pair of models, from the correlations of all codes of all models, made once.

    A code that is zero has no relation; in Spearman's dlib form an undefined one.
    """
    ends = np.cumsum([z.shape[1] for z in columns])
    stacked = np.hstack(columns)
    gram = stacked.T @ stacked
    rows, converged = [], True
    for z, end in zip(columns, ends, strict=True):
        own = gram[end - z.shape[1] : end]
        if alpha is None:
            related = np.abs(own)
            if dlib:
                related[~z.any(axis=0)] = np.nan
                related[:, ~stacked.any(axis=0)] = np.nan
        else:
            coefficients, met = _lasso(own[:, end - z.shape[1] : end], own, alpha)
            related, converged = np.abs(coefficients), converged and met
        rows.append(np.split(related, ends[:-1], axis=1))
    return rows, converged


def _lasso(own: Floats, targets: Floats, alpha: float) -> tuple[Floats, bool]:
    """Coefficients (D, T) of T targets on D codes, from the codes' correlations alone.

    Cyclic coordinate descent, which is slow for codes that are strongly correlated: now and then the
    targets that it is not done with are solved exactly, if their signs are the right ones already.

    Args:
        own: (D, D) correlations of the codes with each other.
        targets: (D, T) their correlations with the targets.
        alpha: the penalty.
    """
    found, left = np.zeros_like(targets), np.arange(targets.shape[1])
    w, residual = np.zeros_like(targets), targets.copy()
    for sweep in range(1, _SWEEPS + 1):
        before = w.copy()
        for k, of_code in enumerate(own):
            raw = residual[k] + w[k]
            new = np.sign(raw) * np.maximum(np.abs(raw) - alpha, 0.0)
            residual -= of_code[:, None] * (new - w[k])
            w[k] = new
        found[:, left] = w
        done = np.abs(w - before).max(axis=0, initial=0.0) <= _TOLERANCE
        if sweep % _PATIENCE == 0:
            exact, solved = _solve(own, targets[:, left], np.sign(w), alpha)
            found[:, left[solved]] = exact[:, solved]
            done |= solved
        if done.all():
            return found, True
        if done.any():
            left, w, residual = left[~done], w[:, ~done], residual[:, ~done]
    return found, False


def _solve(own: Floats, targets: Floats, signs: Floats, alpha: float) -> tuple[Floats, NDArray[np.bool_]]:
    """The coefficients (D, T) if their signs are these (D, T), and of which targets they are so."""
    used = (signs != 0).T
    system = np.where(used[:, :, None] & used[:, None, :], own, np.eye(len(own)))
    right = np.where(used, (targets - alpha * signs).T, 0.0)
    try:
        w = np.linalg.solve(system, right[:, :, None])[:, :, 0].T
    except np.linalg.LinAlgError:  # two codes in use are the same
        return np.zeros_like(targets), np.zeros(len(used), dtype=bool)
    gradient = targets - own @ w
    kept = (np.abs(gradient - alpha * signs) <= _SLACK) & (np.sign(w) == signs)
    unused = (signs == 0) & (np.abs(gradient) <= alpha + _SLACK)
    return w, np.asarray((kept | unused).all(axis=0))


def _strength(related: Floats) -> float:
    """How far each row and each column has one large entry: mean of max^2 / sum, over both."""
    if related.size == 0:
        return 0.0
    return 0.5 * sum(float(_ratio(r).mean()) for r in (related, related.T))


def _ratio(related: Floats) -> Floats:
    total = related.sum(axis=0)
    counts = total > 0  # false of NaN too, as the reference counts it
    return np.where(counts, related.max(axis=0) ** 2 / np.where(counts, total, 1.0), 0.0)


METRIC = Metric(
    id="udr@1",
    title="Unsupervised disentanglement ranking",
    paper="Duan et al. 2020",
    function=udr,
    published={"correlation": "lasso", "alpha": 0.1, "kl_threshold": 0.01, "points": 10_000},
    headline="udr",
    modes=("dlib",),
    of_models=True,
    units={"udr": "ratio"},
)
