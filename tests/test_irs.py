"""The interventional robustness score against golden values, known answers and its laws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.errors import InputError
from disentangle.metrics.irs import irs

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "summary.json").read_text())["cases"]
GRID = np.indices((3, 4, 5)).reshape(3, -1).T


def load(case: str) -> tuple[Any, Any, Any, Any]:
    with np.load(GOLDEN / f"{case}.npz", allow_pickle=False) as file:
        return file["mus_train"].T, file["ys_train"].T, file["irs_matrix"], file["irs_max_deviations"]


@pytest.mark.parametrize(("mode", "tolerance"), [("dlib", 1e-6), ("default", 2e-5)])
@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, mode: Any, tolerance: float) -> None:
    codes, factors, matrix, max_deviations = load(case)
    expected, result = CASES[case], irs(codes, factors, mode=mode)
    assert float(result) == pytest.approx(expected["irs"], abs=tolerance)
    assert float(result) == pytest.approx(expected["sklearn_0.21.3"]["irs"], abs=tolerance)
    np.testing.assert_allclose(result.matrix, matrix, atol=tolerance, rtol=0)
    np.testing.assert_allclose(result.max_deviations, max_deviations, rtol=tolerance)
    assert result.parents.tolist() == expected["irs_parents"]
    assert len(result.active) == expected["irs_true_active_dims"]
    largest = irs(codes, factors, mode=mode, quantile=1.0)
    assert float(largest) == pytest.approx(expected["irs_q1.0"], abs=tolerance)


def test_the_count_of_active_codes_is_a_count() -> None:
    codes, factors, *_ = load("shapes3d_dead")
    assert irs(codes, factors).scores()["irs_active_codes"] == 9.0
    # What the reference publishes under that name:
    published = CASES["shapes3d_dead"]["irs_num_active_dims_as_published(sum_of_codes)"]
    assert published == pytest.approx(codes[:, :9].sum(dtype=np.float64), abs=1e-3)


def test_by_hand() -> None:
    # Code 0 is the factor, code 1 is -1, 1 where it is 0 and -2, 2 where it is 1.
    factor = np.array([0, 0, 1, 1])[:, None]
    codes = np.array([[0.0, -1.0], [0.0, 1.0], [4.0, -2.0], [4.0, 2.0]])
    result = irs(codes, factor, quantile=1.0)
    np.testing.assert_allclose(result.matrix, [[1.0], [1 - 1.5 / 2]])
    np.testing.assert_allclose(result.max_deviations, [2.0, 2.0])
    assert float(result) == pytest.approx(0.625)
    heavier = irs(codes * [3.0, 1.0], factor, quantile=1.0)
    assert float(heavier) == pytest.approx((3 * 1.0 + 0.25) / 4)


def test_a_skewed_code_scores_below_zero() -> None:
    # Each half is one value but for one row: that one is .9 from its mean, and .5 from the mean of all.
    factor = np.repeat([0, 1], 10)[:, None]
    code = np.r_[np.zeros(9), 1, np.ones(9), 0][:, None]
    assert float(irs(code, factor, quantile=1.0)) == pytest.approx(1 - 0.9 / 0.5)


@pytest.mark.parametrize("mode", ["default", "dlib"])
def test_parents_and_constant_codes(mode: Any) -> None:
    codes = np.hstack([np.ones((60, 1)), GRID[:, [2]] ** 2.0, np.full((60, 1), 0.3), -GRID[:, [0]]])
    result = irs(codes, GRID, mode=mode)
    assert float(result) == pytest.approx(1.0)
    assert result.active.tolist() == [1, 3]
    assert result.parents.tolist() == [2, 0]
    assert result.matrix.shape == (2, 3)
    nothing = irs(codes[:, :1].astype(np.float32) * np.float32(0.1), GRID, mode=mode)
    assert nothing.scores() == {"irs": 0.0, "irs_active_codes": 0.0}
    assert nothing.matrix.shape == (0, 3)


def test_dlib_merges_the_values_of_large_factors() -> None:
    factors = np.indices((32, 40)).reshape(2, -1).T
    codes = factors * 1.0
    assert float(irs(codes, factors)) == pytest.approx(1.0)
    merged = irs(codes, factors, mode="dlib")
    # 40 values in 20 bins: pairs, 0.5 from their mean; the furthest value is 19.5 from the middle.
    assert merged.matrix[1, 1] == pytest.approx(1 - 0.5 / 19.5)
    assert merged.matrix[0, 0] < 1 - 0.01
    few = np.indices((15, 20)).reshape(2, -1).T
    assert float(irs(few * 1.0, few, mode="dlib")) == pytest.approx(1.0)


def test_dlib_computes_float32_codes_in_float32() -> None:
    codes, factors, matrix, _ = load("shapes3d_permscale")
    np.testing.assert_allclose(irs(codes, factors, mode="dlib").matrix, matrix, atol=1e-6, rtol=0)
    double = irs(codes.astype(np.float64), factors, mode="dlib").matrix
    assert np.abs(double - matrix).max() > 1e-6
    np.testing.assert_allclose(double, irs(codes, factors).matrix, atol=1e-12, rtol=0)


tables = st.tuples(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 3), st.integers(2, 40))


def draw(seed: int, width: int, count: int, rows: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    factors = np.vstack([np.zeros((1, count)), np.ones((1, count)), rng.integers(0, 4, (rows, count))])
    return rng.normal(size=(rows + 2, width)) ** 3, factors.astype(int)


@settings(max_examples=60)
@given(tables, st.floats(0, 1))
def test_range_and_invariances(table: Any, quantile: float) -> None:
    if table[3] < 4:
        return
    codes, factors = draw(*table)
    result = irs(codes, factors, quantile=quantile)
    assert (result.matrix <= 1).all()
    assert (result.matrix >= -1).all()
    assert result.per_code.min() - 1e-12 <= float(result) <= result.per_code.max() + 1e-12
    for same in (-8 * codes, codes + 1.0):
        np.testing.assert_allclose(irs(same, factors, quantile=quantile).matrix, result.matrix, atol=1e-9)
    relabelled = irs(codes, 10 - 2 * factors, quantile=quantile)
    np.testing.assert_allclose(relabelled.matrix, result.matrix, atol=1e-12)
    wider = irs(np.hstack([codes, np.ones((len(codes), 1))]), factors, quantile=quantile)
    assert float(wider) == float(result)


def test_a_larger_quantile_scores_no_higher() -> None:
    codes = np.random.default_rng(0).normal(size=(60, 3))
    scores = [float(irs(codes, GRID, quantile=q)) for q in (0.0, 0.5, 0.9, 0.99, 1.0)]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["default", "dlib"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale(mode: Any, dtype: Any, scale: float) -> None:
    codes = np.random.default_rng(0).normal(size=(60, 3)).astype(dtype)
    scaled = (codes * dtype(scale)).astype(dtype)
    result, expected = (irs(z, GRID, mode=mode) for z in (scaled, codes))
    assert float(result) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["default", "dlib"])
def test_extreme_codes_are_defined(mode: Any) -> None:
    tiny, huge = np.finfo(np.float64).tiny, np.finfo(np.float64).max
    noise = np.random.default_rng(0).integers(0, 3, 60)
    codes = np.stack([noise * tiny / 2**40, (noise - 1) * huge, 1 + noise * 2.0**-52, noise * 1.0], axis=1)
    result = irs(codes, GRID, mode=mode)
    assert np.isfinite(result.matrix).all()
    assert -1 <= float(result) <= 1
    if mode == "default":  # each code is the same up to shift and scale
        np.testing.assert_allclose(result.matrix - result.matrix[-1], 0, atol=1e-9)
    assert float(irs([[0.5], [2.0]], [[0], [1]], mode=mode)) == 1.0  # two rows


@pytest.mark.parametrize("mode", ["default", "dlib"])
def test_points_are_drawn_with_replacement_by_the_seed(mode: Any) -> None:
    codes = np.random.default_rng(0).normal(size=(60, 2))
    rows = np.random.default_rng(5).integers(60, size=200)
    drawn = irs(codes, GRID, rng=5, points=200, mode=mode)
    assert float(drawn) == float(irs(codes[rows], GRID[rows], mode=mode))
    assert float(drawn) != float(irs(codes, GRID, rng=6, points=200, mode=mode))
    if mode == "dlib":
        states = [
            float(irs(codes, GRID, rng=np.random.RandomState(i), points=200, mode=mode)) for i in (5, 5, 6)
        ]
        assert states[0] == states[1] != states[2]


def test_bad_options() -> None:
    codes = np.random.default_rng(0).normal(size=(60, 2))
    for quantile in (-0.1, 1.1, np.nan, "high", None, True):
        with pytest.raises(InputError, match=r"^quantile is .*expected a number from 0 to 1"):
            irs(codes, GRID, quantile=quantile)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="mode is 'old'; expected one of"):
        irs(codes, GRID, mode="old")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected a non-negative integer seed"):
        irs(codes, GRID, rng=np.random.RandomState(0))
    with pytest.raises(InputError, match="mode 'dlib' expects a seed below"):
        irs(codes, GRID, rng=np.random.default_rng(0), mode="dlib")
    with pytest.raises(InputError, match="points is 4, fewer than the 5 classes of factors column 2"):
        irs(codes, GRID, points=4)
