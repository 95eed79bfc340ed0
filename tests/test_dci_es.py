"""DCI-ES: the area by hand, probes against a plain solution, known answers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.errors import InputError
from disentangle.metrics import dci_es as module
from disentangle.metrics.dci_es import FEATURES, dci_es

GRID = np.tile(np.indices((3, 8)).reshape(2, -1).T, (40, 1))
ANGLE = GRID * 2 * np.pi / [3, 8]
NOISE = np.random.default_rng(0).normal(size=GRID.shape)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ([0.2] * 8, 1.0),  # the first probe is as good as any
        ([1.0] * 8, 1.0),  # nothing is gained
        ([1.0, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7, 0.0], 0.0),  # a straight line
        ([1.0, *[0.0] * 7], 1 - 1 / 7),
        ([*[1.0] * 7, 0.0], -1 + 1 / 7),
        ([0.5, 0.9, 0.25, *[0.9] * 5], 1 - 2 * (0.25 + 0.125) / 7),  # the smallest so far counts
    ],
)
def test_area_by_hand(loss: Any, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_losses", lambda *_: np.array(loss)[:, None])
    result = dci_es(GRID * 1.0, GRID)
    assert float(result) == pytest.approx(expected, abs=1e-12)
    assert result.informativeness == pytest.approx(1 - min(loss))


def test_probes_are_ridge_regressions_on_the_first_features() -> None:
    rng = np.random.default_rng(1)
    x, y, new = rng.normal(size=(2000, 1027)), rng.normal(size=(2000, 2)), rng.normal(size=(50, 1027))
    y -= y.mean(axis=0)
    predicted = module._predictions(x, y, new, 3)
    assert len(predicted) == len(FEATURES)
    for features, ours in zip(FEATURES, predicted, strict=True):
        columns = slice(3 + features)
        centred = x[:, columns] - x[:, columns].mean(axis=0)
        system = centred.T @ centred + 1e-6 * len(x) * np.eye(3 + features)
        weights = np.linalg.solve(system, centred.T @ y)
        np.testing.assert_allclose(ours, (new[:, columns] - x[:, columns].mean(axis=0)) @ weights, atol=1e-9)


def test_known_answers() -> None:
    linear = GRID @ np.array([[1.0, 1.0, 0.0], [-1.0, 2.0, 0.5]])
    for codes in (GRID, -5.0 * GRID + 3, linear, np.hstack([GRID, np.zeros_like(GRID)])):
        result = dci_es(codes, GRID)
        assert float(result) > 0.999
        assert result.informativeness > 0.999
    circles = dci_es(np.hstack([np.cos(ANGLE), np.sin(ANGLE)]), GRID)
    assert circles.informativeness > 0.99
    assert circles.per_factor[1] < 0.95
    assert (np.diff(circles.loss, axis=0) <= 0).all()


def test_what_no_probe_predicts_is_explicit_and_uninformative() -> None:
    for codes in (NOISE, np.full(GRID.shape, 0.3)):
        result = dci_es(codes, GRID)
        assert float(result) > 0.95
        assert result.informativeness < 0.05


def test_linear_loss_is_one_less_the_squared_correlation() -> None:
    codes = GRID + NOISE
    result = dci_es(codes, GRID, test=(codes, GRID))
    for factor in range(2):
        x = np.column_stack([codes, np.ones(len(codes))])
        residual = GRID[:, factor] - x @ np.linalg.lstsq(x, GRID[:, factor], rcond=None)[0]
        assert result.loss[0, factor] == pytest.approx(residual.var() / GRID[:, factor].var(), rel=1e-4)


def test_nominal_factors_have_no_order() -> None:
    # The middle one of three values is no linear function of one code; all are of three codes.
    one_code, three_codes = GRID[:, :1] * 1.0, np.eye(3)[GRID[:, 0]]
    factor, shuffled = GRID[:, :1], np.array([2, 0, 1])[GRID[:, :1]]
    assert dci_es(one_code, factor).loss[0, 0] < 1e-3
    assert dci_es(one_code, factor, nominal=[0]).loss[0, 0] > 0.3
    assert dci_es(three_codes, factor, nominal=[0]).loss[0, 0] < 1e-3
    first, second = (dci_es(one_code, each, nominal=[0]).loss for each in (factor, shuffled))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_size() -> None:
    assert dci_es(GRID, GRID).size == 1.0
    assert dci_es(np.hstack([GRID, NOISE, NOISE]), GRID).size == pytest.approx(1 / 3)
    assert dci_es(GRID[:, :1], GRID).size == 2.0


def test_test_points_of_a_value_never_seen_or_of_one_value() -> None:
    codes, factors = GRID[:, 1:] * 1.0, GRID[:, 1:]
    beyond = dci_es(codes, factors, test=(np.array([[9.0], [0.0]]), np.array([[9], [0]])))
    assert 0 <= beyond.loss.min() <= beyond.loss.max() <= 1
    one = dci_es(codes, factors, test=(codes[:1], factors[:1]))
    assert float(one) == pytest.approx(1.0, abs=1e-6)
    # The mean of the training points is right already.
    middle = dci_es(codes[:16] % 2, factors[:16] % 2 * 2, test=(np.array([[0.5]]), np.array([[1]])))
    assert middle.loss.max() == 0.0
    assert float(middle) == 1.0


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_extreme_scales(scale: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = dci_es((GRID - 1.0) * scale, GRID, test=((GRID - 1.0) * scale, GRID))
    assert float(result) > 0.999


def test_near_constant_codes_and_far_test_points() -> None:
    close = np.nextafter(7.0, 7.0 + GRID[:, :1] % 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dci_es(close, GRID[:, :1] % 2).informativeness > 0.99
        far = dci_es(GRID * 1.0, GRID, test=(GRID * 1e300, GRID))
    assert (far.loss <= 1).all()


def test_seed_and_points() -> None:
    codes = np.hstack([np.cos(ANGLE), np.sin(ANGLE)]) + 0.1 * np.hstack([NOISE, NOISE[::-1]])
    drawn = dci_es(codes, GRID, rng=4, train_points=400, test_points=100)
    rng = np.random.default_rng(4)
    rows, held_out = rng.integers(len(codes), size=400), rng.integers(len(codes), size=100)
    same = dci_es(codes[rows], GRID[rows], test=(codes[held_out], GRID[held_out]), rng=rng)
    assert same.scores() == drawn.scores()
    assert dci_es(codes, GRID, rng=5).scores() != dci_es(codes, GRID, rng=4).scores()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(6, 40), st.integers(1, 4), st.integers(1, 3))
def test_range(seed: int, n: int, width: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, 2, (n, count)) + np.arange(n)[:, None] % 2
    factors[:2] = [[0], [1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        test = rng.normal(size=(n, width)), factors
        result = dci_es(rng.normal(size=(n, width)).round(1), factors, rng=seed, test=test)
    assert (np.abs(result.per_factor) <= 1).all()
    assert ((result.loss >= 0) & (result.loss <= 1)).all()


@pytest.mark.parametrize(
    ("nominal", "message"),
    [
        ((2,), r"nominal is \(2,\); expected columns of the 2 factors"),
        (1, "nominal is 1; expected columns"),
        ((-1,), "nominal is -1; expected a whole number of at least 0"),
        (("shape",), "nominal is 'shape'; expected a whole number"),
    ],
)
def test_bad_nominal(nominal: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dci_es(GRID, GRID, nominal=nominal)
