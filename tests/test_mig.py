"""The mutual information gap against golden values, and its discretizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from disentangle.errors import InputError
from disentangle.metrics._information import discretize, entropy, mutual_information
from disentangle.metrics.mig import mig

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "summary.json").read_text())["cases"]


def load(case: str) -> dict[str, Any]:
    with np.load(GOLDEN / f"{case}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    arrays = load(case)
    codes, factors = arrays["mus_train"].T, arrays["ys_train"].T
    np.testing.assert_array_equal(discretize(codes), arrays["discretized_mus"].T)
    result = mig(codes, factors)
    np.testing.assert_allclose(result.mutual_information, arrays["mi_matrix"], atol=1e-9, rtol=0)
    np.testing.assert_allclose(result.entropy, arrays["factor_entropy"], atol=1e-9, rtol=0)
    np.testing.assert_allclose(result.per_factor, CASES[case]["mig_per_factor"], atol=1e-9, rtol=0)
    assert float(result) == pytest.approx(CASES[case]["mig"], abs=1e-9)
    double = mig(codes.astype(np.float64), factors)
    assert float(double) == pytest.approx(CASES[case]["mig_float64_input"], abs=1e-9)


def test_golden_discretizer() -> None:
    extras = json.loads((GOLDEN / "extras.json").read_text())
    codes = np.array(extras["discretize_in"], dtype=np.float32).T
    np.testing.assert_array_equal(discretize(codes), np.array(extras["discretize_out"]).T)
    for size in (15, 32, 40):
        got = discretize(np.arange(size)[:, None])[:, 0]
        np.testing.assert_array_equal(got, extras[f"discretize_int{size}_out"])


floats = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.integers(1, 40),
    elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
)


@given(floats, st.integers(1, 30))
def test_bins_keep_the_order(code: Any, bins: int) -> None:
    got = discretize(code[:, None], bins)[:, 0]
    assert got.min() >= 1
    assert got.max() <= bins
    if code.min() == code.max():
        assert set(got) == {bins // 2 + 1}
    else:
        assert got[code.argmin()] == 1
        assert got[code.argmax()] == bins
        assert (np.diff(got[np.argsort(code, kind="stable")]) >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("start", [0.0, 1.0, -1e30])
def test_codes_one_step_apart_are_told_apart(dtype: Any, start: float) -> None:
    low = dtype(start)
    code = np.array([low, np.nextafter(low, dtype(np.inf))])
    assert discretize(code[:, None])[:, 0].tolist() == [1, 20]


def test_a_range_that_overflows() -> None:
    code = np.array([-1.0, -0.95, 0.5, 1.0]) * np.finfo(np.float64).max
    assert discretize(code[:, None])[:, 0].tolist() == discretize(code[:, None] / 4)[:, 0].tolist()


labels = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=st.integers(0, 10**12)
)


@given(labels)
def test_information_is_bounded_by_entropy(table: Any) -> None:
    information, h = mutual_information(table, table), entropy(table)
    np.testing.assert_allclose(information, information.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(information), h, atol=1e-12)
    assert (information >= 0).all()
    assert (information <= np.minimum.outer(h, h) + 1e-12).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 4))
def test_range_and_relabelling(seed: int, width: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    factors = np.vstack([np.zeros((1, count)), rng.integers(0, 4, (40, count)), np.ones((1, count))]).astype(
        int
    )
    codes = rng.normal(size=(42, width)).round(1)
    result = mig(codes, factors)
    assert -1e-12 <= float(result) <= 1 + 1e-12
    relabelled = mig(codes, 10 - 2 * factors)
    np.testing.assert_allclose(relabelled.per_factor, result.per_factor, atol=1e-12)


def test_by_hand() -> None:
    # Code 0 is the factor, code 1 its parity: I = log 4 and log 2, H = log 4, so half of it is gap.
    factors = np.tile(np.arange(4), 10)[:, None]
    result = mig(np.hstack([factors, factors % 2]).astype(float), factors)
    np.testing.assert_allclose(result.mutual_information[:, 0], [np.log(4), np.log(2)])
    assert float(result) == pytest.approx(0.5)


def test_one_code_and_one_factor() -> None:
    factors = np.tile(np.arange(4), 10)[:, None]
    assert float(mig(factors * 1.0, factors)) == pytest.approx(1.0)


def test_points_are_drawn_with_replacement_by_the_seed() -> None:
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 3, (100, 2))
    codes = factors + rng.normal(size=(100, 2))
    rows = np.random.default_rng(5).integers(100, size=400)
    assert float(mig(codes, factors, rng=5, points=400)) == float(mig(codes[rows], factors[rows]))
    assert float(mig(codes, factors, rng=5, points=400)) != float(mig(codes, factors, rng=6, points=400))


def test_too_few_points() -> None:
    rng = np.random.default_rng(0)
    factors = np.tile(np.arange(30), 2)[:, None]
    codes = rng.normal(size=(60, 2))
    with pytest.raises(InputError, match="points is 19, fewer than the 20 bins"):
        mig(codes, factors, points=19)
    with pytest.raises(InputError, match="number of rows is 19, fewer than the 20 bins"):
        mig(codes[:19], factors[:19])
    with pytest.raises(InputError, match="points is 25, fewer than the 30 classes of factors column 0"):
        mig(codes, factors, points=25)
    with pytest.raises(InputError, match="bins is 0"):
        mig(codes, factors, bins=0)


def test_a_rare_class_that_was_not_drawn() -> None:
    factors = np.zeros((10_000, 1), dtype=int)
    factors[0] = 1
    with pytest.raises(InputError, match="factors column 0 is constant, 0 in all 20 rows"):
        mig(np.arange(10_000.0)[:, None], factors, points=20)
