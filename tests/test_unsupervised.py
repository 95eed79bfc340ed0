"""Dependence among codes against golden values, known answers and its laws."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.errors import InputError
from disentangle.metrics.unsupervised import unsupervised

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "summary.json").read_text())["cases"]
FACTORS = np.indices((3, 4, 5)).reshape(3, -1).T
CODES = np.random.default_rng(0).normal(size=(60, 3)) @ [[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]]
DEPENDENCE = -math.log(np.finfo(np.float32).eps)  # what an exact one counts


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    with np.load(GOLDEN / f"{case}.npz", allow_pickle=False) as file:
        codes, factors = file["mus_train"].T, file["ys_train"].T
    expected, result = CASES[case], unsupervised(codes, factors)
    old = expected["sklearn_0.21.3"]
    for name in ("wasserstein_correlation", "wasserstein_correlation_norm"):
        assert getattr(result, name) == pytest.approx(expected[f"gaussian_{name}"], abs=1e-9)
    assert result.wasserstein_correlation == pytest.approx(old["gwc"], abs=1e-9)
    assert result.mutual_info_score == pytest.approx(expected["mutual_info_score"], abs=1e-9)
    assert result.dependencies == 0
    if case.endswith("_dead"):  # the reference's is NaN; ours is that of the codes that vary
        assert np.isnan(float(expected["gaussian_total_correlation"]))
        assert len(result.active) == codes.shape[1] - 1
        assert float(result) == float(unsupervised(codes[:, result.active], factors))
    else:
        assert float(result) == pytest.approx(expected["gaussian_total_correlation"], abs=1e-9)
        assert float(result) == pytest.approx(old["gtc"], abs=1e-9)


def test_two_codes_by_hand() -> None:
    covariance: Any = np.cov(CODES[:, :2].T)
    r = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    result = unsupervised(CODES[:, :2], FACTORS)
    assert float(result) == pytest.approx(-0.5 * math.log(1 - r**2), abs=1e-12)
    # The trace of the root of a 2 x 2 matrix m is sqrt(trace m + 2 sqrt det m).
    a, b = covariance[0, 0], covariance[1, 1]
    root = math.sqrt(a**2 + b**2 + 2 * a * b * math.sqrt(1 - r**2))
    assert result.wasserstein_correlation == pytest.approx(2 * (a + b) - 2 * root, abs=1e-12)
    norm = result.wasserstein_correlation_norm
    assert norm == pytest.approx(result.wasserstein_correlation / (a + b), abs=1e-12)
    assert result.mutual_info_score == pytest.approx(result.mutual_information[0, 1])


def test_copies_of_a_code() -> None:
    for copies in (2, 5):
        result = unsupervised(np.tile(CODES[:, :1], copies), FACTORS)
        # One singular value is the root of the number of copies, the others are 0.
        expected = (copies - 1) * DEPENDENCE - 0.5 * math.log(copies)
        assert float(result) == pytest.approx(expected, abs=1e-9)
        assert result.dependencies == copies - 1
        assert result.wasserstein_correlation_norm == pytest.approx(2 - 2 / math.sqrt(copies), abs=1e-12)
        entropy = result.mutual_information[0, 0]
        assert result.mutual_info_score == pytest.approx(entropy, abs=1e-12)


def test_dependence_finer_than_float32_is_exact() -> None:
    mixed = np.hstack([CODES, CODES @ [[1.0], [2.0], [-0.7]]])
    exact, rounded = unsupervised(mixed, FACTORS), unsupervised(mixed.astype(np.float32), FACTORS)
    assert exact.dependencies == 1
    assert float(rounded) == pytest.approx(float(exact), abs=0.5)
    scores = []
    for noise in (1e-9, 1e-6, 1e-3, 1.0):  # saturates, and falls from there
        noisy = mixed + noise * np.random.default_rng(1).normal(size=(60, 1)) * [0, 0, 0, 1]
        scores.append(float(unsupervised(noisy, FACTORS)))
    assert scores[0] == pytest.approx(float(exact), abs=1e-6)
    assert scores == sorted(scores, reverse=True)


def test_fewer_points_than_codes() -> None:
    codes = np.random.default_rng(0).normal(size=(20, 30))
    result = unsupervised(codes, np.arange(20)[:, None] % 2)
    assert result.dependencies == 11  # 20 points span 19 directions around their mean
    others = np.linalg.eigvalsh(np.corrcoef(codes.T))[-19:]
    assert float(result) == pytest.approx(11 * DEPENDENCE - 0.5 * np.log(others).sum(), abs=1e-9)


def test_constant_codes() -> None:
    alone = unsupervised(CODES, FACTORS)
    dead = unsupervised(np.insert(CODES, [1, 3], 0.3, axis=1), FACTORS)
    assert dead.active.tolist() == [0, 2, 3]
    assert float(dead) == float(alone)
    assert dead.wasserstein_correlation == alone.wasserstein_correlation
    assert dead.mutual_info_score == pytest.approx(alone.mutual_info_score * 6 / 20)
    nothing = unsupervised(np.full((60, 2), 0.3), FACTORS)
    assert set(nothing.scores().values()) == {0.0}
    assert set(unsupervised(CODES[:, :1], FACTORS).scores().values()) == {0.0}


def test_factors_do_not_matter() -> None:
    assert unsupervised(CODES, FACTORS[::-1, :1]).scores() == unsupervised(CODES, FACTORS).scores()


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(20, 60))
def test_range_and_invariances(seed: int, width: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(rows, width)) @ rng.normal(size=(width, width))
    factors = np.arange(rows)[:, None] % 3
    result = unsupervised(codes, factors)
    assert float(result) >= 0
    assert result.wasserstein_correlation >= 0
    assert 0 <= result.wasserstein_correlation_norm < 2
    assert 0 <= result.mutual_info_score <= math.log(20)
    scaled = unsupervised(codes * rng.choice([-2.0, 0.125, 64.0], width), factors)
    assert float(scaled) == pytest.approx(float(result), abs=1e-9)
    alike = unsupervised(-3.0 * codes[:, ::-1] + 7.0, factors)
    assert float(alike) == pytest.approx(float(result), abs=1e-9)
    expected = 9 * result.wasserstein_correlation
    assert alike.wasserstein_correlation == pytest.approx(expected, rel=1e-9, abs=1e-12)
    norm = result.wasserstein_correlation_norm
    assert alike.wasserstein_correlation_norm == pytest.approx(norm, abs=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e149])
def test_scale(scale: float) -> None:
    result, expected = unsupervised(CODES * scale, FACTORS), unsupervised(CODES, FACTORS)
    assert float(result) == pytest.approx(float(expected), abs=1e-12)
    norm = expected.wasserstein_correlation_norm
    assert result.wasserstein_correlation_norm == pytest.approx(norm, abs=1e-12)
    distance = expected.wasserstein_correlation * scale**2
    assert result.wasserstein_correlation == pytest.approx(distance, rel=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_near_constant_and_unequal_codes(dtype: Any) -> None:
    steps = np.random.default_rng(0).integers(0, 3, (60, 2)).astype(dtype)
    near = np.hstack([1 + steps * np.finfo(dtype).eps, steps * dtype(100)]).astype(dtype)
    result = unsupervised(near, FACTORS)
    expected = unsupervised(np.hstack([steps, steps]), FACTORS)
    assert float(result) == pytest.approx(float(expected), abs=1e-9)
    assert 0 <= result.wasserstein_correlation_norm < 2


def test_points_are_drawn_with_replacement_by_the_seed() -> None:
    rows = np.random.default_rng(5).integers(60, size=200)
    drawn = unsupervised(CODES, FACTORS, rng=5, points=200)
    assert drawn.scores() == unsupervised(CODES[rows], FACTORS[rows]).scores()
    assert float(drawn) != float(unsupervised(CODES, FACTORS, rng=6, points=200))


def test_bad_input() -> None:
    with pytest.raises(InputError, match="points is 19, fewer than the 20 bins"):
        unsupervised(CODES, FACTORS, points=19)
    with pytest.raises(InputError, match="bins is 0"):
        unsupervised(CODES, FACTORS, bins=0)
    large = CODES.copy()
    large[7, 1] = -1e160
    with pytest.raises(InputError, match=r"codes are -1e\+160 in row 7, column 1.*below 1e\+150"):
        unsupervised(large, FACTORS)
