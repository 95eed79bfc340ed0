"""Modularity against golden values of both scikit-learn generations."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from disentangle.errors import InputError
from disentangle.metrics.modularity import modularity, modularity_from_information

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "summary.json").read_text())["cases"]


def load(case: str) -> dict[str, Any]:
    with np.load(GOLDEN / f"{case}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    arrays = load(case)
    result = modularity(arrays["mus_train"].T, arrays["ys_train"].T)
    np.testing.assert_allclose(result.mutual_information, arrays["mi_matrix"], atol=1e-9, rtol=0)
    assert float(result) == pytest.approx(CASES[case]["modularity"], abs=1e-9)
    value, per_code = modularity_from_information(arrays["mi_matrix"])
    assert value == pytest.approx(CASES[case]["modularity"], abs=1e-9)
    np.testing.assert_allclose(per_code, result.per_code, atol=1e-9, rtol=0)
    assert result.constant.sum() == (1 if case.endswith("_dead") else 0)


@pytest.mark.parametrize("case", CASES)
def test_golden_of_2019(case: str) -> None:
    arrays = load(case)
    result = modularity(arrays["mus_train"].T, arrays["ys_train"].T, mode="dlib2019")
    assert float(result) == pytest.approx(CASES[case]["sklearn_0.21.3"]["modularity"], abs=1e-9)
    np.testing.assert_allclose(result.mutual_information, arrays["mi_matrix"], atol=1e-9, rtol=0)


def test_golden_extras() -> None:
    extras = json.loads((GOLDEN / "extras.json").read_text())
    with np.load(GOLDEN / "extras.npz", allow_pickle=False) as file:
        value, per_code = modularity_from_information(file["importance"])
    assert value == pytest.approx(extras["mi_modularity"], abs=1e-9)
    np.testing.assert_allclose(per_code, extras["mi_modularity_per_code"], atol=1e-9, rtol=0)


matrices = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(0, 1.7e308)
)


@given(matrices)
def test_from_information_is_bounded_and_free_of_scale(information: Any) -> None:
    value, per_code = modularity_from_information(information)
    assert ((per_code >= -1e-12) & (per_code <= 1)).all()
    assert value == pytest.approx(per_code.mean())
    assert ((information.max(axis=1) > 0) | (per_code == 0)).all()
    normal = np.where(information > 1e-280, information, 0.0)  # halving subnormals rounds them
    halved = modularity_from_information(normal / 2)[1]
    np.testing.assert_array_equal(halved, modularity_from_information(normal)[1])


def test_by_hand() -> None:
    # 1 - (1 + 4) / (9 * 2), by the squares 1, 4 and 9.
    value, per_code = modularity_from_information([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(per_code, [13 / 18, 0.0], atol=1e-15)
    assert value == pytest.approx(13 / 36)


@pytest.mark.parametrize(
    ("information", "message"),
    [
        ([1.0, 2.0], r"^information have shape \(2,\)"),
        ([[1.0, -0.5]], r"^information is -0\.5 in row 0, column 1"),
        ([[np.inf, 1.0]], r"^information have 1 of 2"),
    ],
)
def test_bad_information(information: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        modularity_from_information(information)


FACTORS = np.tile(np.indices((3, 4)).reshape(2, -1).T, (5, 1))


@pytest.mark.parametrize("mode", ["default", "dlib2019"])
def test_with_one_factor_a_code_that_tells_of_it_counts_as_1(mode: Any) -> None:
    codes = np.hstack([FACTORS[:, :1], np.zeros((60, 1))])
    assert float(modularity(codes[:, :1], FACTORS[:, :1], mode=mode)) == 1.0
    assert modularity(codes, FACTORS[:, :1]).per_code.tolist() == [1.0, 0.0]


def test_a_code_that_is_independent_of_all_factors_counts_as_0() -> None:
    # Up to rounding, which without a threshold would decide.
    table = np.indices((3, 4, 7)).reshape(3, -1).T
    result = modularity(table * 1.0, table[:, :2])
    np.testing.assert_array_equal(result.per_code, [1.0, 1.0, 0.0])
    assert not result.constant.any()
    assert result.mutual_information.min() >= 0


def test_all_codes_constant() -> None:
    codes = np.full((60, 2), 0.3, dtype=np.float32)
    result = modularity(codes, FACTORS)
    assert float(result) == 0.0
    assert result.constant.all()
    assert 0 <= float(modularity(codes, FACTORS, mode="dlib2019")) <= 1


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-30, 1e30, 1e300])
def test_scale_does_not_matter(scale: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = modularity(FACTORS * scale, FACTORS)
    np.testing.assert_array_equal(result.per_code, [1.0, 1.0])


def test_points() -> None:
    rng = np.random.default_rng(0)
    codes = FACTORS + rng.normal(size=(60, 2))
    rows = np.random.default_rng(5).integers(60, size=400)
    drawn = modularity(codes, FACTORS, rng=5, points=400)
    assert drawn.scores() == modularity(codes[rows], FACTORS[rows]).scores()
    old = modularity(codes, FACTORS, rng=5, points=400, mode="dlib2019")
    np.testing.assert_allclose(old.per_code, drawn.per_code, atol=1e-12)
    states = [np.random.RandomState(5) for _ in range(2)]
    one, other = (modularity(codes, FACTORS, rng=s, points=400, mode="dlib2019") for s in states)
    assert float(one) == float(other)
    again = modularity(codes, FACTORS, rng=states[0], points=400, mode="dlib2019")
    assert float(again) != float(one)


def test_refused() -> None:
    codes = FACTORS * 1.0
    with pytest.raises(InputError, match="points is 19, fewer than the 20 bins"):
        modularity(codes, FACTORS, points=19)
    with pytest.raises(InputError, match="number of rows is 19, fewer than the 20 bins"):
        modularity(codes[:19], FACTORS[:19])
    with pytest.raises(InputError, match="bins is 0"):
        modularity(codes, FACTORS, bins=0)
    with pytest.raises(InputError, match="mode is 'dlib'; expected one of"):
        modularity(codes, FACTORS, mode="dlib")  # type: ignore[arg-type]
