"""MIG-sup: by hand, against MIG's golden information, and which codes count."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.errors import InputError
from disentangle.metrics.mig import mig
from disentangle.metrics.mig_sup import mig_sup

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "summary.json").read_text())["cases"]
GRID = np.tile(np.indices((4, 4)).reshape(2, -1).T, (2, 1))


@pytest.mark.parametrize("case", CASES)
def test_from_the_golden_information(case: str) -> None:
    with np.load(GOLDEN / f"{case}.npz", allow_pickle=False) as file:
        codes, factors = file["mus_train"].T, file["ys_train"].T
        share = file["mi_matrix"] / file["factor_entropy"]
    result = mig_sup(codes, factors)
    for code, gap in enumerate(result.per_code):
        best, second = sorted(share[code])[::-1][:2]
        assert gap == pytest.approx(best - second, abs=1e-9)
    active = codes.astype(float).var(axis=0, ddof=1) > 0.01
    np.testing.assert_array_equal(result.active, active)
    assert float(result) == pytest.approx(result.per_code[active].mean(), abs=1e-12)


def test_by_hand() -> None:
    # Code 0 is factor 0 (gap 1), code 1 its parity (gap 1/2), code 2 both factors (gap 0).
    codes = np.stack([GRID[:, 0], GRID[:, 0] % 2, GRID @ [1, 4]], axis=1)
    result = mig_sup(codes, GRID)
    np.testing.assert_allclose(result.per_code, [1, 0.5, 0], atol=1e-12)
    assert float(result) == pytest.approx(0.5)
    # MIG sees what this does not, and the other way round.
    assert float(mig_sup(np.hstack([GRID, GRID]), GRID)) == pytest.approx(1)
    assert float(mig(np.hstack([GRID, GRID]), GRID)) == pytest.approx(0)
    assert float(mig_sup(GRID @ [[1], [4]], GRID)) == pytest.approx(0)
    assert float(mig(GRID @ [[1], [4]], GRID)) == pytest.approx(1)


def test_normalised_by_each_factors_own_entropy() -> None:
    # All of a factor with 2 classes and half of one with 4: in nats they would be equal.
    code = GRID[:, :1] // 2
    factors = np.hstack([GRID[:, :1], GRID[:, :1] // 2, GRID[:, 1:]])
    assert mig_sup(code, factors).per_code[0] == pytest.approx(0.5)


def test_codes_that_hardly_vary_do_not_count() -> None:
    noise = np.random.default_rng(0).normal(size=(32, 2))
    dead = np.hstack([GRID, 0.05 * noise, np.full((32, 1), 3.0)])
    result = mig_sup(dead, GRID)
    assert result.active.tolist() == [True, True, False, False, False]
    assert float(result) == pytest.approx(1)
    counted = mig_sup(dead, GRID, least_variance=0)
    assert counted.active.tolist() == [True, True, True, True, False]
    assert float(counted) < 0.8
    assert float(mig_sup(np.full((32, 3), 0.3), GRID)) == 0.0


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_extreme_scales(scale: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = mig_sup((GRID - 1.5) * scale, GRID, least_variance=0)
        assert float(result) == pytest.approx(1)
        assert float(mig_sup((GRID - 1.5) * scale, GRID)) == pytest.approx(float(scale > 1))


def test_near_constant_codes_and_one_factor() -> None:
    close = np.nextafter(7.0, 7.0 + GRID // 2)
    assert float(mig_sup(close, GRID // 2, least_variance=0)) == pytest.approx(1)
    assert float(mig_sup(GRID[:, :1] // 2, GRID[:, :1])) == pytest.approx(0.5)


def test_drawn_points() -> None:
    drawn = mig_sup(GRID, GRID, rng=2, points=500)
    rows = np.random.default_rng(2).integers(32, size=500)
    assert float(drawn) == float(mig_sup(GRID[rows], GRID[rows]))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 4))
def test_range_and_relabelling(seed: int, width: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    factors: Any = np.vstack([np.zeros((1, count)), rng.integers(0, 4, (40, count)), np.ones((1, count))])
    factors, codes = factors.astype(int), rng.normal(size=(42, width)).round(1)
    result = mig_sup(codes, factors)
    assert 0 <= float(result) <= 1 + 1e-12
    np.testing.assert_allclose(mig_sup(codes, 10 - 2 * factors).per_code, result.per_code, atol=1e-12)
    np.testing.assert_allclose(mig_sup(codes, factors[:, ::-1]).per_code, result.per_code, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 33}, "the number of rows is 32, fewer than the 33 bins"),
        ({"points": 10}, "points is 10, fewer than the 20 bins"),
        ({"least_variance": -1.0}, r"least_variance is -1\.0; expected a number of at least 0"),
        ({"least_variance": "1"}, "least_variance is '1'"),
        ({"least_variance": float("nan")}, "least_variance is nan"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mig_sup(GRID, GRID, **options)
