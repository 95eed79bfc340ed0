"""DCI against golden values: from importance matrices to 1e-9, through the trees to their noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from disentangle.errors import InputError
from disentangle.metrics.dci import dci, dci_from_importance

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "summary.json").read_text())["cases"]
SLOW = [c if c.startswith("mini") else pytest.param(c, marks=pytest.mark.slow) for c in CASES]
KEYS = ("disentanglement", "completeness", "informativeness_train", "informativeness_test")


def load(case: str) -> dict[str, Any]:
    with np.load(GOLDEN / f"{case}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@pytest.mark.parametrize("case", CASES)
def test_golden_from_importance(case: str) -> None:
    golden = CASES[case]["dci_sklearn_1.9.1"][0]
    disentanglement, completeness, per_code, per_factor = dci_from_importance(
        load(case)["dci_importance_seed0"]
    )
    assert disentanglement == pytest.approx(golden["disentanglement"], abs=1e-9)
    assert completeness == pytest.approx(golden["completeness"], abs=1e-9)
    np.testing.assert_allclose(per_code, golden["disentanglement_per_code"], atol=1e-9, rtol=0)
    np.testing.assert_allclose(per_factor, golden["completeness_per_factor"], atol=1e-9, rtol=0)


def test_golden_extras() -> None:
    extras = json.loads((GOLDEN / "extras.json").read_text())
    with np.load(GOLDEN / "extras.npz", allow_pickle=False) as file:
        disentanglement, completeness, per_code, per_factor = dci_from_importance(file["importance"])
    assert disentanglement == pytest.approx(extras["imp_D"], abs=1e-9)
    assert completeness == pytest.approx(extras["imp_C"], abs=1e-9)
    np.testing.assert_allclose(per_code, extras["imp_D_per_code"], atol=1e-9, rtol=0)
    np.testing.assert_allclose(per_factor, extras["imp_C_per_factor"], atol=1e-9, rtol=0)
    disentanglement, completeness, *_ = dci_from_importance(np.zeros((10, 5)))
    assert disentanglement == pytest.approx(extras["imp_zero_D"], abs=1e-9)
    assert completeness == pytest.approx(extras["imp_zero_C"], abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_golden_end_to_end(case: str) -> None:
    arrays = load(case)
    test = arrays["mus_test"].T, arrays["ys_test"].T
    result = dci(arrays["mus_train"].T, arrays["ys_train"].T, test=test)
    tolerance = 2e-2 if case.startswith("mini") else 5e-3
    for key in KEYS:
        golden = [run[key] for run in CASES[case]["dci_sklearn_1.9.1"]]
        assert getattr(result, key) == pytest.approx(np.mean(golden), abs=tolerance), key
    # Equal codes share their importance at random, in scikit-learn's trees as in ours.
    if not case.endswith("dup"):
        np.testing.assert_allclose(result.importance, arrays["dci_importance_seed0"], atol=0.02)


@pytest.mark.parametrize("case", SLOW)
def test_golden_of_the_reference_mode(case: str) -> None:
    arrays = load(case)
    test = arrays["mus_test"].T, arrays["ys_test"].T
    result = dci(arrays["mus_train"].T, arrays["ys_train"].T, test=test, mode="dlib", rng=0)
    golden = CASES[case]["dci_sklearn_1.9.1"][0]
    # Rounding decides some ties, and differs from one processor to the next: seen is .002 in an importance.
    np.testing.assert_allclose(result.importance, arrays["dci_importance_seed0"], atol=5e-3)
    for key in KEYS:
        assert getattr(result, key) == pytest.approx(golden[key], abs=2e-3), key


def test_the_reference_mode_draws_from_one_state_for_all_factors() -> None:
    state = np.random.RandomState(7)
    first = dci(CODES, FACTORS, mode="dlib", rng=state, test=(CODES, FACTORS))
    again = dci(CODES, FACTORS, mode="dlib", rng=7, test=(CODES, FACTORS))
    np.testing.assert_array_equal(first.importance, again.importance)
    assert state.randint(1000) != np.random.RandomState(7).randint(1000)


def test_threads_do_not_change_numbers() -> None:
    codes = np.hstack([CODES, CODES])  # with ties
    one, three = (dci(codes, FACTORS, rng=5, threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one.importance, three.importance)
    assert one.scores() == three.scores()


matrices = hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(0, 1e6))


@given(matrices)
def test_from_importance_is_bounded_and_symmetric(importance: Any) -> None:
    disentanglement, completeness, per_code, per_factor = dci_from_importance(importance)
    for part in (disentanglement, completeness, per_code, per_factor):
        assert (np.asarray(part) >= 0).all()
        assert (np.asarray(part) <= 1 + 1e-12).all()
    swapped = dci_from_importance(importance.T)
    assert swapped[0] == pytest.approx(completeness, abs=1e-12)
    assert swapped[1] == pytest.approx(disentanglement, abs=1e-12)


def test_from_importance_by_hand() -> None:
    # Row 0 uses both factors equally (0), row 1 one of them (1); their shares are 1/2 and 1/2.
    disentanglement, _, per_code, _ = dci_from_importance([[1.0, 1.0], [2.0, 0.0]])
    np.testing.assert_allclose(per_code, [0, 1], atol=1e-9)
    assert disentanglement == pytest.approx(0.5)
    # One factor: nothing to spread over, whichever codes serve it.
    assert dci_from_importance([[1.0], [0.0]])[0] == 1.0


@pytest.mark.parametrize(
    ("importance", "message"),
    [
        ([1.0, 2.0], r"^importance have shape \(2,\)"),
        ([[1.0, -0.5]], r"^importance is -0\.5 in row 0, column 1"),
        ([[np.nan, 1.0]], r"^importance have 1 of 2"),
    ],
)
def test_bad_importance(importance: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dci_from_importance(importance)


FACTORS = np.tile(np.indices((2, 3)).reshape(2, -1).T, (10, 1))
CODES = np.random.default_rng(0).normal(size=(60, 2)) + FACTORS


def test_each_factor_has_its_own_seed() -> None:
    both = dci(CODES, FACTORS, rng=3)
    first = dci(CODES, FACTORS[:, :1], rng=3)
    np.testing.assert_array_equal(both.importance[:, :1], first.importance)
    assert both.accuracy_test[0] == first.accuracy_test[0]


def test_drawn_points() -> None:
    drawn = dci(CODES, FACTORS, rng=4, train_points=50, test_points=30)
    rng = np.random.default_rng(4)
    train, test = rng.integers(60, size=50), rng.integers(60, size=30)
    same = dci(CODES[train], FACTORS[train], test=(CODES[test], FACTORS[test]), rng=rng)
    assert same.scores() == drawn.scores()


def test_a_class_in_the_test_points_only_counts_as_wrong() -> None:
    factors = FACTORS[:, :1]
    test = np.full((4, 1), 7)
    test[0] = factors[0]
    result = dci(factors * 1.0, factors, test=(np.repeat(factors[:1] * 1.0, 4, axis=0), test))
    assert result.informativeness_test == 0.25


def test_bad_points() -> None:
    with pytest.raises(InputError, match="train_points is given and test_points is not"):
        dci(CODES, FACTORS, train_points=30)
    with pytest.raises(InputError, match="test_points is given and train_points is not"):
        dci(CODES, FACTORS, test_points=30)
    with pytest.raises(InputError, match="train_points is 2, fewer than the 3 classes of factors column 1"):
        dci(CODES, FACTORS, train_points=2, test_points=30)
    with pytest.raises(InputError, match="codes have 2 rows; expected at least 3"):
        dci(CODES[:2], FACTORS[:2])
    with pytest.raises(InputError, match=r"^codes are 1e\+39 in column 0, beyond float32"):
        dci(np.where(CODES[0, 0] == CODES, 1e39, CODES), FACTORS, test=(CODES, FACTORS))


def test_bad_test_points() -> None:
    with pytest.raises(InputError, match="test is a int; expected the pair"):
        dci(CODES, FACTORS, test=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="test codes have 1 columns; expected 2"):
        dci(CODES, FACTORS, test=(CODES[:, :1], FACTORS))
    with pytest.raises(InputError, match="test factors have 1 columns; expected 2"):
        dci(CODES, FACTORS, test=(CODES, FACTORS[:, :1]))
    with pytest.raises(InputError, match="test codes have 60 rows and test factors 59"):
        dci(CODES, FACTORS, test=(CODES, FACTORS[1:]))
