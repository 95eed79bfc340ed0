"""Unsupervised disentanglement ranking against golden values, scikit-learn, known answers and its laws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.errors import InputError
from disentangle.metrics.udr import METRIC, udr

GOLDEN = Path(__file__).parent / "golden"
EXTRAS = json.loads((GOLDEN / "extras.json").read_text())
KINDS = pytest.mark.parametrize("correlation", ["lasso", "spearman"])
TOLERANCE = {"lasso": 1e-6, "spearman": 1e-9}
GRID = np.indices((4, 5, 6)).reshape(3, -1).T - 2.5


def golden() -> tuple[list[Any], list[Any]]:
    with np.load(GOLDEN / "extras.npz", allow_pickle=False) as file:
        return [file[f"udr_rep{i}"] for i in range(3)], [file[f"udr_kl{i}"] for i in range(3)]


def models(seed: int, count: int = 3, rows: int = 60, width: int = 4) -> list[Any]:
    """Codes that are alike, but not the same, from model to model."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(rows, width))
    return [shared @ (np.eye(width) + 0.4 * rng.normal(size=(width, width))) for _ in range(count)]


@KINDS
@pytest.mark.parametrize("mode", ["default", "dlib"])
def test_golden(correlation: Any, mode: Any) -> None:
    codes, kl = golden()
    expected, tolerance = EXTRAS[f"udr_{correlation}_filterTrue"], TOLERANCE[correlation]
    result = udr(codes, kl=kl, correlation=correlation, mode=mode)
    np.testing.assert_allclose(result.pairwise, expected["pairwise"], atol=tolerance, rtol=0)
    np.testing.assert_allclose(result.model_scores, expected["model_scores"], atol=tolerance, rtol=0)
    assert float(result) == pytest.approx(np.mean(expected["model_scores"]), abs=tolerance)
    assert [k.tolist() for k in result.kept] == [np.flatnonzero(of_model > 0.01).tolist() for of_model in kl]
    assert result.converged


@KINDS
def test_golden_without_the_filter(correlation: Any) -> None:
    """The reference then sets unused codes to zero and keeps them in the means."""
    codes, kl = golden()
    zeroed = [z * (of_model > 0.01) for z, of_model in zip(codes, kl, strict=True)]
    expected, tolerance = EXTRAS[f"udr_{correlation}_filterFalse"], TOLERANCE[correlation]
    result = udr(zeroed, correlation=correlation, mode="dlib")
    np.testing.assert_allclose(result.pairwise, expected["pairwise"], atol=tolerance, rtol=0)
    np.testing.assert_allclose(result.model_scores, expected["model_scores"], atol=tolerance, rtol=0)
    # The default leaves constant codes out, whether or not it is told so by their KL.
    left_out = udr(zeroed, correlation=correlation)
    np.testing.assert_array_equal(left_out.pairwise, udr(codes, kl=kl, correlation=correlation).pairwise)


def test_lasso_is_scikit_learns() -> None:
    from sklearn.linear_model import Lasso

    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(200, 5)) @ rng.normal(size=(5, width)) for width in (7, 6))
    a, b = a, b + a[:, :6]
    x, y = ((z - z.mean(axis=0)) / z.std(axis=0) for z in (a, b))
    fitted = Lasso(alpha=0.05, tol=1e-14, max_iter=1_000_000).fit(x, y).coef_
    r = np.abs(fitted.T)
    strength = [(m.max(axis=0) ** 2 / m.sum(axis=0)).mean() for m in (r, r.T)]
    result = udr([a, b], alpha=0.05)
    assert result.pairwise[0, 1] == pytest.approx(np.mean(strength), abs=1e-6)
    assert result.model_scores[1] == result.pairwise[0, 1]  # the second's codes from the first's
    assert result.pairwise[1, 0] != pytest.approx(result.pairwise[0, 1], abs=1e-3)


def test_lasso_that_does_not_converge_says_so() -> None:
    shared = np.random.default_rng(0).normal(size=(100, 1))
    near = shared + 1e-4 * np.random.default_rng(1).normal(size=(100, 3))
    result = udr([near, near[:, :1] - near[:, 1:2]], alpha=1e-6)
    assert not result.converged
    assert np.isfinite(result.pairwise).all()


@pytest.mark.parametrize(("correlation", "perfect"), [("lasso", 0.9), ("spearman", 1.0)])
def test_same_independent_codes(correlation: Any, perfect: float) -> None:
    others = [GRID[:, [1, 2, 0]] * [2.0, -1.0, 1e-6], GRID[:, ::-1] + 7.0, GRID]
    result = udr(others, correlation=correlation)
    np.testing.assert_allclose(result.model_scores, perfect, atol=1e-9)
    for penalty in (0.3, 0.01):
        expected = 1 - penalty if correlation == "lasso" else 1.0
        assert float(udr(others, correlation=correlation, alpha=penalty)) == pytest.approx(expected)


@KINDS
def test_unrelated_codes(correlation: Any) -> None:
    rng = np.random.default_rng(0)
    result = udr([rng.normal(size=(5000, 4)) for _ in range(4)], correlation=correlation)
    assert result.pairwise.min() >= 0
    assert result.pairwise.max() < 0.03


def test_by_hand() -> None:
    # Rank correlations 1, 0; 0, 1 with the first table, and a copy of its first code besides.
    result = udr([GRID[:, :2], GRID[:, [0, 1, 0]]], correlation="spearman")
    # Columns 1, 1, 1; rows 1/2, 1.
    np.testing.assert_allclose(result.pairwise, [[0, 0.875], [0.875, 0]], atol=1e-12)
    mixed = udr([GRID[:, :2], (GRID[:, :1] + GRID[:, 1:2])], alpha=0.1)
    s = GRID[:, :2].std(axis=0) / (GRID[:, 0] + GRID[:, 1]).std() - 0.1
    column = s.max() ** 2 / s.sum()
    assert mixed.pairwise[0, 1] == pytest.approx((column + s.mean()) / 2)


@KINDS
@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_order_sign_and_scale_of_codes_do_not_matter(correlation: Any, seed: int) -> None:
    codes, rng = models(seed), np.random.default_rng(seed)
    expected = udr(codes, correlation=correlation)
    changed = [
        (z * rng.choice([-3.0, 0.01, 1e4], 4) + rng.normal(size=4))[:, rng.permutation(4)] for z in codes
    ]
    result = udr(changed, correlation=correlation)
    if expected.converged and result.converged:
        np.testing.assert_allclose(result.pairwise, expected.pairwise, atol=1e-6)
    assert expected.pairwise.min() >= 0


@KINDS
def test_order_of_models_and_more_of_them(correlation: Any) -> None:
    codes = models(0, count=5)
    result = udr(codes, correlation=correlation)
    order = np.array([3, 0, 4, 1, 2])
    reordered = udr([codes[i] for i in order], correlation=correlation)
    np.testing.assert_allclose(reordered.pairwise, result.pairwise[np.ix_(order, order)], atol=1e-9)
    np.testing.assert_allclose(reordered.model_scores, result.model_scores[order], atol=1e-9)
    fewer = udr(codes[:3], correlation=correlation)
    np.testing.assert_allclose(fewer.pairwise, result.pairwise[:3, :3], atol=1e-9)
    if correlation == "spearman":
        np.testing.assert_allclose(result.pairwise, result.pairwise.T, atol=1e-12)


@KINDS
def test_unused_codes_are_left_out(correlation: Any) -> None:
    codes = models(0)
    noise = np.random.default_rng(9).normal(size=(60, 2))
    expected = udr(codes, correlation=correlation)
    wider = [np.hstack([codes[0], noise]), codes[1], np.hstack([np.full((60, 1), 0.3), codes[2]])]
    kl: Any = [[1, 1, 1, 1, 0.01, 0.0], [1, 1, 1, 1], [5, 1, 1, 1, 1]]
    result = udr(wider, kl=kl, correlation=correlation)
    np.testing.assert_allclose(result.pairwise, expected.pairwise, atol=1e-9)
    assert [k.tolist() for k in result.kept] == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 4]]
    none = udr(codes, kl=[[1.0] * 4, [0.0] * 4, [1.0] * 4], correlation=correlation)
    assert none.model_scores[1] == 0.0
    assert none.model_scores[0] == pytest.approx(expected.pairwise[2, 0] / 2)  # the median of two
    strict = udr(codes, kl=[[1, 2, 3, 4]] * 3, kl_threshold=2.0, correlation=correlation)
    trimmed = udr([z[:, 2:] for z in codes], correlation=correlation)
    np.testing.assert_allclose(strict.pairwise, trimmed.pairwise, atol=1e-9)


@pytest.mark.parametrize("mode", ["default", "dlib"])
@KINDS
def test_all_codes_constant(correlation: Any, mode: Any) -> None:
    result = udr([np.ones((9, 2)), np.zeros((9, 3)), GRID[:9]], correlation=correlation, mode=mode)
    assert result.scores() == {"udr": 0.0}


def test_dlib_keeps_constant_codes_as_codes_without_a_partner() -> None:
    dead = np.insert(GRID, 1, 0.3, axis=1)
    assert float(udr([dead, dead])) == pytest.approx(0.9)
    assert float(udr([dead, dead], mode="dlib")) == pytest.approx(0.9 * 3 / 4)
    assert float(udr([dead, dead], correlation="spearman", mode="dlib")) == 0.0
    assert float(udr([dead, GRID], correlation="spearman", mode="dlib")) == pytest.approx(0.75 / 2)
    # Zeroed at 0.01, whatever the threshold; above it a code predicts even where it is left out.
    total = GRID[:, :1] + GRID[:, 1:2]
    between: Any = {"kl": [[1.0, 0.05], [1.0]], "kl_threshold": 0.1}
    assert udr([np.hstack([GRID[:, :1], total]), total], **between).pairwise[0, 1] > 0.5
    assert udr([np.hstack([GRID[:, :1], total]), total], **between, mode="dlib").pairwise[0, 1] < 1e-9
    kl = [[1.0, 1.0, 0.005]] * 2
    assert float(udr([GRID, GRID], kl=kl, kl_threshold=0.001)) == pytest.approx(0.9)
    assert float(udr([GRID, GRID], kl=kl, kl_threshold=0.001, mode="dlib")) == pytest.approx(0.6)


@pytest.mark.filterwarnings("error")
@KINDS
@pytest.mark.parametrize("scale", [1e-320, 1e-30, 1e30, 1e307])
def test_scale(correlation: Any, scale: float) -> None:
    near = 1 + np.random.default_rng(0).integers(0, 3, GRID.shape) * 2.0**-52
    result = udr([GRID * scale, GRID, near, near - 1], correlation=correlation)
    assert result.pairwise[0, 1] == pytest.approx(0.9 if correlation == "lasso" else 1.0, abs=1e-3)
    np.testing.assert_allclose(result.pairwise[2, :2], result.pairwise[3, :2], atol=1e-9)
    assert np.isfinite(result.pairwise).all()


@KINDS
def test_few_rows_and_one_code(correlation: Any) -> None:
    result = udr([[[1.0], [2.0]], [[5.0], [3.0]]], correlation=correlation)
    assert float(result) == pytest.approx(0.9 if correlation == "lasso" else 1.0)


@pytest.mark.parametrize("mode", ["default", "dlib"])
def test_the_same_rows_are_drawn_of_every_model_by_the_seed(mode: Any) -> None:
    codes = models(0)
    rows = np.random.default_rng(5).integers(60, size=200)
    drawn = udr(codes, points=200, rng=5, mode=mode)
    np.testing.assert_array_equal(drawn.pairwise, udr([z[rows] for z in codes], mode=mode).pairwise)
    assert float(drawn) != float(udr(codes, points=200, rng=6, mode=mode))


def test_inputs_are_untouched_and_what_they_are_does_not_matter() -> None:
    pd, torch = pytest.importorskip("pandas"), pytest.importorskip("torch")
    codes = [np.asfortranarray(z) for z in models(0)]
    kept, kl = [z.copy() for z in codes], np.array([1.0, 1.0, 0.0, 2.0])
    for array in (*codes, kl):
        array.flags.writeable = False
    expected = udr(codes, kl=[kl] * 3).pairwise
    for z, before in zip(codes, kept, strict=True):
        np.testing.assert_array_equal(z, before)
    given_kl = [pd.Series(kl), torch.tensor(kl.copy(), requires_grad=True), kl.tolist()]
    given = [pd.DataFrame(codes[0]), torch.tensor(kept[1], requires_grad=True), codes[2].tolist()]
    np.testing.assert_array_equal(udr(given, kl=given_kl).pairwise, expected)
    stacked: Any = np.stack(codes)
    np.testing.assert_array_equal(udr(stacked, kl=[kl] * 3).pairwise, expected)
    integers = [(10 * z).astype(np.int8) for z in codes]
    np.testing.assert_array_equal(udr(integers).pairwise, udr([z.astype(float) for z in integers]).pairwise)


A = np.random.default_rng(0).normal(size=(20, 3))
BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "one model": ([A], {}, "^codes have 1 models; expected at least 2"),
    "one table": (A, {}, r"^codes\[0\] have shape \(3,\)"),
    "no list": (7, {}, "^codes are a int; expected a list"),
    "a dict": ({"a": A, "b": A}, {}, "^codes are a dict; expected a list"),
    "rows": ([A, A, A[:-1]], {}, r"^codes\[2\] have 19 rows and codes\[0\] 20; expected .* the same images"),
    "one row": ([A[:1], A[:1]], {}, "expected at least 2"),
    "NaN": ([A, A * np.nan], {}, r"^codes\[1\] have 60 of 60 entries that are NaN"),
    "text": ([A, A.astype(str)], {}, r"^codes\[1\] have dtype <U"),
    "kl of one": ([A, A], {"kl": [[1, 1, 1]]}, "^kl is of 1 models; expected 2"),
    "kl a number": ([A, A], {"kl": 1.0}, "^kl is of float models; expected 2"),
    "kl width": ([A, A], {"kl": [[1, 1, 1], [1, 1]]}, r"^kl\[1\] has 2 numbers; expected 3, one per code"),
    "kl NaN": ([A, A], {"kl": [[1, 1, np.nan]] * 2}, r"^kl\[0\] have 1 of 3 entries that are NaN"),
    "kl ragged": ([A, A], {"kl": [[[1], [1, 2]]] * 2}, r"^kl\[0\] cannot be read"),
    "correlation": ([A, A], {"correlation": "pearson"}, "^correlation is 'pearson'; expected 'lasso' or"),
    "alpha": ([A, A], {"alpha": 0.0}, "^alpha is 0.0; expected a number above 0"),
    "threshold": ([A, A], {"kl_threshold": np.nan}, "^kl_threshold is nan; expected a number"),
    "points": ([A, A], {"points": 1}, "^points is 1; expected a whole number of at least 2"),
    "seed": ([A, A], {"rng": -1}, "^rng is -1; expected a non-negative integer seed"),
    "mode": ([A, A], {"mode": "old"}, "^mode is 'old'; expected one of"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    codes, options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        udr(codes, **options)


def test_ids() -> None:
    assert METRIC.of_models
    assert METRIC.named({**METRIC.published, "correlation": "spearman"}) == "udr@1[correlation=spearman]"
    assert METRIC.named({**METRIC.published, "mode": "dlib"}) == "udr@dlib"
