"""Downstream accuracy: the choice of the penalty against scikit-learn, small samples, options."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.errors import InputError
from disentangle.metrics import _logistic, _logistic_cv
from disentangle.metrics.downstream import downstream

GRID = np.indices((3, 2, 7)).reshape(3, -1).T


def sample(n: int, seed: int, codes: int = 4) -> tuple[Any, Any]:
    """Rows of a grid, and smooth mixtures of their factors with noise."""
    rng = np.random.default_rng(seed)
    factors = GRID[rng.integers(len(GRID), size=n)]
    mixed = np.tanh(factors @ rng.normal(size=(3, codes)) / 2) + 0.5 * rng.normal(size=(n, codes))
    return mixed * [1.0, 2.0, 0.5, 3.0][:codes], factors


def reference(codes: Any, labels: Any) -> Any:
    """scikit-learn's estimator, brought to its minima."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import KFold

    model = LogisticRegressionCV(Cs=10, cv=KFold(5), tol=1e-7, max_iter=100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(codes, labels)


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize(("n", "seed"), [(57, 0), (200, 1)])
def test_agrees_with_scikit_learn_at_its_minima(n: int, seed: int, column: int) -> None:
    codes, factors = sample(n + 500, seed)
    labels = 5 * factors[:n, column] + 2
    train, test, converged = _logistic_cv.predict(codes[:n], labels, codes[n:])
    model = reference(codes[:n], labels)
    assert converged
    assert np.mean(train == model.predict(codes[:n])) > 0.99
    assert np.mean(test == model.predict(codes[n:])) > 0.99


@pytest.mark.parametrize("column", [1, 2])
@pytest.mark.parametrize("penalty", [1e-4, 1.0])
def test_minimum_is_scikit_learns(column: int, penalty: float) -> None:
    from sklearn.linear_model import LogisticRegression

    codes, factors = sample(400, 2)
    z, labels, classes = codes / codes.std(axis=0), factors[:, column], int(factors[:, column].max()) + 1
    problem = _logistic.Problem(_logistic.with_intercept(z), labels, classes)
    strength = np.append(np.full(4, penalty * (2 if classes == 2 else 1)), 0.0)
    found = _logistic.minimise(problem, problem.start(), strength)
    model = LogisticRegression(C=1 / (penalty * len(z)), tol=1e-10, max_iter=100_000).fit(z, labels)
    assert found.converged
    np.testing.assert_allclose(_softmax(found.weights, z), model.predict_proba(z), atol=2e-3)


def _softmax(weights: Any, z: Any) -> Any:
    p = np.exp((weights @ _logistic.with_intercept(z)).T)
    return p / p.sum(axis=1, keepdims=True)


def test_a_hessian_too_large_to_be_whole_leads_to_the_same_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, factors = sample(300, 3)
    whole = _logistic_cv.predict(codes, factors[:, 2], codes)
    monkeypatch.setattr(_logistic, "_LARGEST_HESSIAN", 1)
    blocks = _logistic_cv.predict(codes, factors[:, 2], codes)
    assert blocks[2]
    np.testing.assert_array_equal(whole[0], blocks[0])


def test_gradient_and_hessian_are_derivatives() -> None:
    rng = np.random.default_rng(0)
    share = rng.random(40)
    problem = _logistic.Problem(rng.normal(size=(3, 40)), rng.integers(4, size=40), 4, share)
    weights, penalty = rng.normal(size=(4, 3)), np.array([0.1, 0.2, 0.0])
    _, gradient, p = problem(weights, penalty)
    hessian = problem.hessian(p) + np.diag(np.tile(penalty, 4))
    for i in range(12):
        step = np.zeros(12)
        step[i] = 1e-2
        (up, above, _), (down, below, _) = (
            problem(weights + sign * step.reshape(4, 3), penalty) for sign in (1, -1)
        )
        assert gradient.ravel()[i] == pytest.approx((up - down) / 2e-2, abs=1e-4)
        np.testing.assert_allclose(hessian[i], (above - below).ravel() / 2e-2, atol=1e-4)


def test_default_and_dlib_agree() -> None:
    codes, factors = sample(2000, 5)
    default, dlib = (
        downstream(codes, factors, sizes=(200, 1000), test_points=2000, mode=mode)
        for mode in ("default", "dlib")
    )
    np.testing.assert_allclose(default.accuracy_test, dlib.accuracy_test, atol=0.01)
    assert float(default) == pytest.approx(float(dlib), abs=2e-3)


@pytest.mark.parametrize("classifier", ["logistic", "boosting"])
def test_known_answers(classifier: Any) -> None:
    options: dict[str, Any] = {"sizes": (10, 300), "test_points": 400, "classifier": classifier}
    perfect = downstream(GRID * 1.0, GRID, **options)
    assert float(perfect) > 0.99
    assert perfect.converged
    assert 0 < perfect.efficiency[0] <= 1 == perfect.efficiency[1]
    dead = downstream(np.hstack([GRID, np.full_like(GRID, 3)]), GRID, **options)
    np.testing.assert_allclose(dead.accuracy_test[-1], perfect.accuracy_test[-1], atol=0.01)
    constant = downstream(np.zeros((42, 2)), GRID, **options)
    np.testing.assert_allclose(constant.accuracy_test[-1], [1 / 3, 1 / 2, 1 / 7], atol=0.1)
    noise, fresh = np.random.default_rng(0).normal(size=(2, 4200, 3))
    labels = np.tile(GRID, (100, 1))
    noise = downstream(noise, labels, test=(fresh, labels), **options)
    np.testing.assert_allclose(noise.accuracy_test[-1], [1 / 3, 1 / 2, 1 / 7], atol=0.1)


def test_scores_and_parts() -> None:
    result = downstream(*sample(300, 6), sizes=[10, 50, 200], test_points=100)
    assert set(result.scores()) == {
        "downstream",
        "downstream_train",
        "downstream_10",
        "downstream_50",
        "downstream_efficiency_10",
        "downstream_efficiency_50",
    }
    means = result.accuracy_test.mean(axis=1)
    assert float(result) == means[-1]
    assert result.scores()["downstream_efficiency_10"] == pytest.approx(means[0] / means[-1])
    assert result.accuracy_train.shape == result.accuracy_test.shape == (3, 3)


def test_drawn_points_are_from_one_generator() -> None:
    codes, factors = sample(100, 7)
    both = downstream(codes, factors, sizes=(20, 60), test_points=50, rng=3)
    rng = np.random.default_rng(3)
    rng.integers(100, size=20), rng.integers(100, size=50)
    second = downstream(codes, factors, sizes=(60,), test_points=50, rng=rng)
    np.testing.assert_array_equal(second.accuracy_test[0], both.accuracy_test[1])


def test_a_factor_constant_in_the_sample_is_predicted_as_that_constant() -> None:
    factors = np.append(np.zeros(999, dtype=int), 4)[:, None]
    codes = np.arange(1000.0)[:, None]
    for classifier in ("logistic", "boosting"):
        result = downstream(codes, factors, test=(codes, factors), sizes=(5,), classifier=classifier)
        assert float(result) == 0.999


def test_a_class_in_the_test_points_only_counts_as_wrong() -> None:
    factors = np.repeat([0, 1], 20)[:, None]
    test = np.array([[0.0], [1.0], [5.0], [5.0]]), np.array([[0], [1], [2], [2]])
    result = downstream(factors * 1.0, factors, test=test, sizes=(30,), test_points=None)
    assert float(result) == 0.5
    nothing = downstream(factors * 1.0, factors, test=(test[0][2:], test[1][2:]), sizes=(10, 30))
    assert float(nothing) == 0.0
    assert nothing.efficiency.tolist() == [0.0, 0.0]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(5, 30), st.integers(1, 4), st.integers(2, 12))
def test_any_small_sample_is_defined(seed: int, size: int, width: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    factors = np.append(rng.integers(classes, size=40), [0, 1])[:, None]
    codes = rng.normal(size=(42, width)).round(1) * 10.0 ** rng.integers(-3, 3, size=width)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = downstream(codes, factors, rng=seed, sizes=(size,), test_points=20)
    assert 0 <= float(result) <= 1
    assert result.converged


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_extreme_scales(scale: float) -> None:
    codes, factors = sample(60, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = downstream(codes * scale, factors, sizes=(40,), test_points=50)
    assert float(result) > 0.3  # chance, or a little more


def test_near_constant_codes() -> None:
    factors = np.arange(100)[:, None] % 2
    codes = np.nextafter(7.0, 7.0 + factors)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = downstream(codes, factors, sizes=(50,), test_points=None)
    assert 0.4 <= float(result) <= 1  # the penalty hides the code, as it does from scikit-learn


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (4, 10)}, "sizes is 4; expected a whole number of at least 5"),
        ({"sizes": (10, 10)}, r"sizes is \(10, 10\); expected increasing"),
        ({"sizes": ()}, r"sizes is \(\); expected increasing"),
        ({"sizes": 10}, "sizes is 10; expected increasing"),
        ({"classifier": "svm"}, "classifier is 'svm'; expected 'logistic' or 'boosting'"),
        ({"mode": "paper"}, "mode is 'paper'"),
        ({"test": (np.ones((3, 1)), np.ones((3, 1)))}, "test codes have 1 columns; expected 3"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        downstream(GRID * 1.0, GRID, **options)


def test_trees_refuse_what_float32_cannot_hold() -> None:
    with pytest.raises(InputError, match=r"^codes are 1e\+39 in column 2, beyond float32"):
        downstream(GRID * 1e39, GRID, test_points=50, classifier="boosting")


def test_a_table_of_ones_own_is_not_tested_on_training_rows() -> None:
    rng = np.random.default_rng(0)
    codes, factors = rng.normal(size=(300, 4)), rng.integers(10, size=(300, 1))
    assert float(downstream(codes, factors, sizes=(10, 2000), classifier="boosting")) < 0.3  # chance is 0.1
