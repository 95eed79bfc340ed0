"""Explicitness against golden values of both scikit-learn generations."""

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
from disentangle.metrics import _scale
from disentangle.metrics.explicitness import explicitness, macro_auc

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "summary.json").read_text())["cases"]
ALIVE = [case for case in CASES if "explicitness_error" not in CASES[case]]


def load(case: str) -> tuple[Any, Any, tuple[Any, Any]]:
    with np.load(GOLDEN / f"{case}.npz", allow_pickle=False) as file:
        return file["mus_train"].T, file["ys_train"].T, (file["mus_test"].T, file["ys_test"].T)


@pytest.mark.parametrize("case", ALIVE)
def test_golden(case: str) -> None:
    codes, factors, test = load(case)
    result, golden = explicitness(codes, factors, test=test), CASES[case]
    assert result.test == pytest.approx(golden["explicitness_test"], abs=1e-4)
    assert result.train == pytest.approx(golden["explicitness_train"], abs=1e-4)
    for ours, theirs in (("test_per_factor", "test"), ("train_per_factor", "train")):
        np.testing.assert_allclose(
            getattr(result, ours), golden[f"explicitness_{theirs}_per_factor"], atol=1e-3, rtol=0
        )
    assert result.converged
    assert not result.constant.any()


@pytest.mark.parametrize("case", ALIVE)
def test_golden_of_2019(case: str) -> None:
    codes, factors, test = load(case)
    result, golden = explicitness(codes, factors, test=test, mode="dlib2019"), CASES[case]
    for part in ("test", "train"):
        for value in (
            golden[f"explicitness_{part}_ovr_liblinear"],
            golden["sklearn_0.21.3"][f"explicitness_{part}"],
        ):
            assert getattr(result, part) == pytest.approx(value, abs=1e-5)
    assert result.converged


@pytest.mark.parametrize("case", [case for case in CASES if case not in ALIVE])
@pytest.mark.parametrize("mode", ["default", "dlib2019"])
def test_a_constant_code_is_as_good_as_none(case: str, mode: Any) -> None:
    # The reference raises here.
    codes, factors, test = load(case)
    result = explicitness(codes, factors, test=test, mode=mode)
    assert result.constant.sum() == 1
    kept = ~result.constant
    without = explicitness(codes[:, kept], factors, test=(test[0][:, kept], test[1]), mode=mode)
    np.testing.assert_allclose(result.test_per_factor, without.test_per_factor, atol=1e-4)
    assert result.test > 0.9


labelled = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float64, (n, 4), elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])),
        hnp.arrays(np.int64, n, elements=st.integers(0, 3)).filter(lambda y: len(set(y.tolist())) > 1),
    )
)


@given(labelled)
def test_auc_is_that_of_scikit_learn(given_: tuple[Any, Any]) -> None:
    from sklearn.metrics import roc_auc_score

    scores, labels = given_
    expected = [roc_auc_score(labels == k, scores[:, k]) for k in np.unique(labels)]
    assert macro_auc(scores, np.arange(4), labels) == pytest.approx(np.mean(expected))


RNG = np.random.default_rng(1)
FACTORS = np.stack([RNG.integers(0, 3, 240), RNG.integers(0, 2, 240)], axis=1)
CODES = FACTORS + 0.3 * RNG.normal(size=(240, 2))


def test_classes_of_one_part_only() -> None:
    # Class 2 is not among the labels and has no area; class 7 has no column: 0.5.
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])
    areas = [1.0, 0.5, 0.5]  # of class 1: above the first point, below the third
    assert macro_auc(scores, np.arange(3), np.array([0, 1, 7])) == pytest.approx(np.mean(areas))
    two, labels = FACTORS[:, 1:], FACTORS[:, 1:] + 1
    far = 20.0 * CODES[:, 1:]
    for mode in ("default", "dlib2019"):
        test = np.append(far, [[0.0]], axis=0), np.append(labels, [[7]], axis=0)
        result = explicitness(far, labels, test=test, mode=mode)  # type: ignore[arg-type]
        alone = explicitness(far, two, test=(far, two), mode=mode)  # type: ignore[arg-type]
        assert result.train == alone.train > 0.9
        assert result.test == pytest.approx((2 * alone.test + 0.5) / 3, abs=0.01)


def test_two_classes_and_one_code() -> None:
    # One code, two classes: the area is that of the code itself.
    labels = np.array([0, 0, 0, 1, 1, 1])[:, None]
    code = np.array([0.0, 2.0, 3.0, 1.0, 4.0, 5.0])[:, None]
    for mode in ("default", "dlib2019"):
        result = explicitness(code, labels, test=(code, labels), mode=mode)  # type: ignore[arg-type]
        assert result.train == result.test == pytest.approx(7 / 9)


def test_all_codes_constant_is_chance() -> None:
    for mode in ("default", "dlib2019"):
        result = explicitness(CODES * 0 + 0.3, FACTORS, mode=mode)  # type: ignore[arg-type]
        assert result.scores() == {"explicitness": 0.5, "explicitness_train": 0.5}
        assert result.constant.all()


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e307])
@pytest.mark.parametrize("mode", ["default", "dlib2019"])
def test_scale_does_not_matter(scale: float, mode: Any) -> None:
    plain = explicitness(CODES, FACTORS, mode=mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled = explicitness(CODES * scale, FACTORS, mode=mode)
    assert scaled.test == pytest.approx(plain.test, abs=1e-3)


def test_codes_one_step_apart_are_told_apart() -> None:
    assert float(explicitness(1 + np.spacing(1.0) * FACTORS, FACTORS)) == 1.0


def test_test_points_far_outside() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = explicitness(CODES * 1e-300, FACTORS, test=(CODES * 1e300, FACTORS))
    assert 0 <= result.test <= 1


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(1, 20), st.integers(1, 3)),
        elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
    )
)
def test_z_scores(codes: Any) -> None:
    z, z_test, constant = _scale.standardize(codes, codes)
    np.testing.assert_array_equal(z, z_test)
    np.testing.assert_array_equal(constant, codes.min(axis=0) == codes.max(axis=0))
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(z.std(axis=0), np.where(constant, 0, 1), atol=1e-9)


def test_points() -> None:
    rng = np.random.default_rng(4)
    train, test = rng.integers(240, size=150), rng.integers(240, size=90)
    drawn = explicitness(CODES, FACTORS, rng=4, train_points=150, test_points=90)
    same = explicitness(CODES[train], FACTORS[train], test=(CODES[test], FACTORS[test]))
    assert same.scores() == drawn.scores()
    states = [4, np.random.RandomState(4), np.random.RandomState(4)]
    old = [
        explicitness(CODES, FACTORS, rng=s, train_points=150, test_points=90, mode="dlib2019") for s in states
    ]
    assert old[1].scores() == old[2].scores()
    assert old[0].test == pytest.approx(drawn.test, abs=0.1)


def test_a_fit_that_did_not_converge_is_reported() -> None:
    factors = np.tile(np.arange(20), 100)[:, None]
    z = factors.astype(float) ** [1, 2, 3, 4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not explicitness(z, factors).converged


def test_refused() -> None:
    with pytest.raises(InputError, match=r"column 1 is constant, 0, in the test points \(240 rows\)"):
        explicitness(CODES, FACTORS, test=(CODES, FACTORS * [1, 0]))
    with pytest.raises(InputError, match="codes have 2 rows; expected at least 3"):
        explicitness(CODES[:2], FACTORS[:2])
    with pytest.raises(InputError, match="train_points is given and test_points is not"):
        explicitness(CODES, FACTORS, train_points=30)
    with pytest.raises(InputError, match="mode is 'dlib'; expected one of"):
        explicitness(CODES, FACTORS, mode="dlib")  # type: ignore[arg-type]
