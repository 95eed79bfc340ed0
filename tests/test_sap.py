"""SAP against golden values of both scikit-learn generations, and its exact solver against the optimum."""

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
from disentangle.metrics import _hinge
from disentangle.metrics.sap import METRIC, sap

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "summary.json").read_text())["cases"]


def load(case: str) -> tuple[Any, Any, tuple[Any, Any], dict[str, Any]]:
    """Codes and factors to train on, the test pair, and the golden matrices."""
    with np.load(GOLDEN / f"{case}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    test = arrays["mus_test"].T, arrays["ys_test"].T
    return arrays["mus_train"].T, arrays["ys_train"].T, test, arrays


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    codes, factors, test, arrays = load(case)
    result = sap(codes, factors, test=test, mode="dlib")
    np.testing.assert_allclose(result.matrix, arrays["sap_matrix_discrete"], atol=1e-9, rtol=0)
    assert float(result) == pytest.approx(CASES[case]["sap_discrete"], abs=1e-9)
    assert result.converged


@pytest.mark.parametrize("case", CASES)
def test_golden_of_2019(case: str) -> None:
    codes, factors, test, arrays = load(case)
    result = sap(codes, factors, test=test, mode="dlib2019")
    n = len(test[0])
    np.testing.assert_allclose(
        result.matrix, arrays["sap_matrix_discrete_dualTrue"], atol=1 / n + 1e-9, rtol=0
    )
    assert float(result) == pytest.approx(CASES[case]["sap_discrete_dualTrue"], abs=2e-4)
    assert float(result) == pytest.approx(CASES[case]["sklearn_0.21.3"]["sap_discrete"], abs=2e-4)


@pytest.mark.parametrize("case", CASES)
def test_default_is_near_golden(case: str) -> None:
    # The reference's solvers stop short of the minimum, so single points differ.
    codes, factors, test, arrays = load(case)
    result = sap(codes, factors, test=test)
    difference = np.abs(result.matrix - arrays["sap_matrix_discrete"]) * len(test[0])
    assert difference.max() < 6.5
    assert (difference > 0.5).sum() <= 3
    assert float(result) == pytest.approx(CASES[case]["sap_discrete"], abs=2e-4)
    assert float(result) == pytest.approx(CASES[case]["sklearn_0.21.3"]["sap_discrete"], abs=1e-9)
    assert result.converged


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", ["default", "dlib", "dlib2019"])
def test_golden_continuous(case: str, mode: Any) -> None:
    codes, factors, test, arrays = load(case)
    result = sap(codes, factors, test=test, kind="continuous", mode=mode)
    np.testing.assert_allclose(result.matrix, arrays["sap_matrix_continuous"], atol=1e-9, rtol=0)
    assert float(result) == pytest.approx(CASES[case]["sap_continuous"], abs=1e-9)
    assert float(result) == pytest.approx(CASES[case]["sklearn_0.21.3"]["sap_continuous"], abs=1e-9)


def slack(rng: np.random.Generator) -> tuple[float, bool]:
    """How far the solver lies from the minimum: the largest Newton step from there, of all points."""
    classes = int(rng.integers(2, 6))
    labels = np.append(np.arange(classes), rng.integers(0, classes, rng.integers(1, 200)))
    x = rng.normal(size=len(labels)) * rng.choice([0.01, 1, 100]) + labels * rng.choice([0, 0.01, 1, 100])
    x = (x + rng.choice([0, 1, 1000])).round(rng.integers(0, 6))
    x -= rng.choice([0.0, x.mean()])
    of = _hinge.machines(labels[:, None], float(rng.choice([0.001, 0.01, 1])))
    scale = np.abs(x - x.mean()).max() or 1.0
    t = (x - x.mean()) / scale
    fit = _hinge._Fit(t, x.mean() / scale, 1 / scale, of)
    worst, (slopes, offsets, converged) = 0.0, fit.minimum()
    penalty = np.array([[fit.q**2 + fit.r**2, -fit.r], [-fit.r, 1.0]])
    for k, at in enumerate(np.stack([slopes, offsets], axis=1)):
        y = np.where(labels == k, 1, -1)
        missing = 1 - y * (at[0] * t + at[1])
        weight = 2 * np.where(labels == k, of.inside[k], of.outside[k]) * (missing > 0)
        points = np.stack([t, np.ones_like(t)])
        gradient = penalty @ at - points @ (weight * y * missing)
        step = np.linalg.solve(penalty + points * weight @ points.T, gradient)
        worst = max(worst, np.abs(step).sum() / (np.abs(at).sum() + 1e-6))
    return worst, converged


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_solver_reaches_the_minimum(seed: int) -> None:
    worst, converged = slack(np.random.default_rng(seed))
    assert converged
    assert worst < 1e-6


def test_weights_are_those_of_scikit_learn() -> None:
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(0)
    for classes in (2, 4):
        labels = np.sort(rng.integers(0, classes, 300) * rng.integers(0, 2, 300))
        x = labels + rng.normal(size=300)
        model = LinearSVC(C=0.01, class_weight="balanced", dual=False, tol=1e-12, max_iter=10_000)
        model.fit(x[:, None], labels)
        fit = _hinge._Fit(x / 10, 0.0, 0.1, _hinge.machines(labels[:, None], 0.01))
        slope, offset, _ = fit.minimum()
        own = slice(1, 2) if classes == 2 else slice(None)
        np.testing.assert_allclose(slope[own] / 10, model.coef_[:, 0], atol=1e-6)
        np.testing.assert_allclose(offset[own], model.intercept_, atol=1e-6)


RNG = np.random.default_rng(1)
FACTORS = np.stack([RNG.integers(0, 3, 240), RNG.integers(0, 2, 240)], axis=1)
CODES = FACTORS + 0.3 * RNG.normal(size=(240, 2))


def test_by_hand() -> None:
    # Two values, each code a factor: 1 against a guess, which two tied classes share.
    factors = np.tile(np.indices((2, 2)).reshape(2, -1).T, (30, 1))
    result = sap(10.0 * factors, factors, test=(10.0 * factors, factors))
    np.testing.assert_array_equal(result.matrix, [[1.0, 0.5], [0.5, 1.0]])
    np.testing.assert_array_equal(result.per_factor, [0.5, 0.5])


def test_a_constant_code_predicts_the_most_frequent_class() -> None:
    labels = np.repeat([0, 1, 2], [20, 50, 30])[:, None]
    test = np.zeros((4, 1)), np.array([[1], [1], [2], [0]])
    assert sap(np.zeros((100, 1)), labels, test=test).matrix[0, 0] == 0.5
    equal = np.repeat([0, 1, 2], 30)[:, None]
    assert sap(np.zeros((90, 1)), equal, test=test).matrix[0, 0] == pytest.approx(1 / 3)


def test_with_one_code_the_second_best_is_constant() -> None:
    for kind in ("discrete", "continuous"):
        alone = sap(CODES[:, :1], FACTORS, kind=kind)  # type: ignore[arg-type]
        padded = sap(CODES[:, :1] * [1, 0], FACTORS, kind=kind)  # type: ignore[arg-type]
        assert alone.matrix.shape == (1, 2)
        assert float(alone) == float(padded)


def test_numbering_of_classes_does_not_matter() -> None:
    grid = np.tile(np.indices((3, 4)).reshape(2, -1).T, (5, 1))
    codes = np.hstack([grid, grid.sum(axis=1, keepdims=True)]) * 1.0
    swapped = np.array([2, 0, 3, 1])[grid]
    one, other = (sap(codes, f, test=(codes, f)) for f in (grid, swapped))
    np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-12)


def test_a_class_in_the_test_points_only_counts_as_wrong() -> None:
    test = np.repeat(CODES[:1], 4, axis=0), np.full((4, 2), 7)
    for mode in ("default", "dlib", "dlib2019"):
        assert (sap(CODES, FACTORS, test=test, mode=mode).matrix == 0).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-30, 1e30, 1e300])
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_sizes_at_the_ends_of_the_range(scale: float, kind: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = sap(CODES.round(1) * scale, FACTORS, kind=kind)
    assert result.converged
    assert 0 <= float(result) <= 1


def test_a_distant_outlier_is_reported() -> None:
    codes = CODES.copy()
    codes[3, 0] = 1e5
    test = codes, FACTORS
    assert sap(codes, FACTORS, test=test).converged
    codes[3, 0] = 1e12
    assert not sap(codes, FACTORS, test=test).converged


def test_correlation_by_hand() -> None:
    factors = np.array([[0], [1], [2], [3]])
    codes = np.hstack([2 - 3.0 * factors, (factors - 1.5) ** 2, np.full((4, 1), 1e9)])
    result = sap(codes, factors, test=(codes, factors), kind="continuous")
    np.testing.assert_allclose(result.matrix[:, 0], [1, 0, 0], atol=1e-15)
    assert sap(codes * 1e-7, factors, test=(codes, factors), kind="continuous").matrix[0, 0] == 0


def test_random_numbers_of_the_modes() -> None:
    options: dict[str, Any] = {"train_points": 200, "test_points": 100}
    by_seed = sap(CODES, FACTORS, rng=5, mode="dlib", **options)
    same_points = sap(CODES, FACTORS, rng=5, **options)
    np.testing.assert_allclose(by_seed.matrix, same_points.matrix, atol=0.03)
    states = [np.random.RandomState(5) for _ in range(2)]
    one, other = (sap(CODES, FACTORS, rng=s, mode="dlib2019", **options) for s in states)
    np.testing.assert_array_equal(one.matrix, other.matrix)
    with pytest.raises(InputError, match="mode 'dlib' expects a seed"):
        sap(CODES, FACTORS, rng=np.random.default_rng(0), mode="dlib")
    with pytest.raises(InputError, match="expected a non-negative integer seed"):
        sap(CODES, FACTORS, rng=np.random.RandomState(0))


def test_refused_options() -> None:
    with pytest.raises(InputError, match="kind is 'both'; expected 'discrete' or 'continuous'"):
        sap(CODES, FACTORS, kind="both")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="mode is 'old'"):
        sap(CODES, FACTORS, mode="old")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^codes are .*e\+99 in column 0, too large for scikit-learn"):
        sap(CODES * 1e99 + 1e99, FACTORS, mode="dlib")


def test_ids() -> None:
    assert METRIC.named({**METRIC.published, "kind": "continuous"}) == "sap@1[kind=continuous]"
    assert METRIC.named({**METRIC.published, "mode": "dlib2019"}) == "sap@dlib2019"
