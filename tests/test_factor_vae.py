"""The FactorVAE score: the reference's votes, the same distribution for any table, and its edges."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.errors import InputError
from disentangle.metrics import _batches
from disentangle.metrics._batches import Partners, grid_groups, grid_rows, randint_rounds, table_groups
from disentangle.metrics.factor_vae import FactorVAEScore, View, _score, factor_vae, grid_score

SAMPLING = json.loads((Path(__file__).parent / "golden" / "sampling.json").read_text())
SIZES = (10, 10, 10, 8, 4, 15)
TEN = (10,) * 10
SMALL = np.indices((3, 4)).reshape(2, -1).T
FEW: dict[str, Any] = {"train_points": 200, "test_points": 100}


@cache
def grid() -> Any:
    return np.indices(SIZES).reshape(len(SIZES), -1).T


@cache
def golden_codes(name: str) -> Any:
    """The representations of golden/sampling.json, tabulated over the grid of 3DShapes."""
    unit = 2 * grid().astype(np.float64) / (np.array(SIZES) - 1.0) - 1
    mix = np.random.RandomState(123).normal(size=(len(SIZES), 10))
    if name == "linear_mix":
        return unit.dot(mix)
    if name == "sin_mix":
        return np.sin(3.0 * unit.dot(mix))
    if name == "low3":
        return np.pad(unit.dot(mix[:, :3]), ((0, 0), (0, 7)))
    if name == "axis_weak":
        return np.hstack([unit, 0.01 * unit.dot(mix[:, :4])])
    return np.pad(unit, ((0, 0), (0, 4)))


def check_golden(result: FactorVAEScore, name: str, state: np.random.RandomState) -> None:
    golden = SAMPLING[name]
    np.testing.assert_array_equal(result.train_votes, golden["factor_train_votes"])
    np.testing.assert_array_equal(result.test_votes, golden["factor_eval_votes"])
    assert float(result) == golden["factor_vae"]["eval_accuracy"]
    assert result.train_accuracy == golden["factor_vae"]["train_accuracy"]
    assert result.active.sum() == golden["factor_true_active"]
    assert golden["factor_vae"]["num_active_dims"] == len(result.active)  # the reference counts all
    assert state.randint(2**31 - 1) == golden["factor_vae_next_randint31_after"]


@pytest.mark.parametrize("name", ["axis_dead", "linear_mix", "axis_weak", "sin_mix", "low3"])
def test_golden(name: str) -> None:
    state = np.random.RandomState(SAMPLING["seed"])
    sizes = {"train_points": 1000, "test_points": 500, "variance_points": 2000}
    result = factor_vae(golden_codes(name), grid(), rng=state, mode="dlib", **sizes)
    expected = SAMPLING[f"shapes3d_{name}"]["factor_global_variances"]
    np.testing.assert_allclose(result.variances, expected, atol=1e-9, rtol=0)
    check_golden(result, f"shapes3d_{name}", state)


class Digits:
    """Codes of a grid of 10**10 rows, which are its factors."""

    dtype = np.dtype(np.float64)

    def take(self, rows: Any, axis: int) -> Any:
        return np.stack(np.unravel_index(rows, TEN), axis=-1).astype(np.float64)


def test_golden_identity_of_ten_factors() -> None:
    state = np.random.RandomState(SAMPLING["seed"])
    result = grid_score(Digits(), TEN, (1000, 500), 64, 2000, state)
    check_golden(result, "identity10", state)
    assert result.per_factor.tolist() == [1.0] * 10


def test_golden_identity_in_its_own_order() -> None:
    """Its factors are drawn in one call, point by point: as many draws, other variances."""
    state, view = np.random.RandomState(SAMPLING["seed"]), View(Digits(), 0, np.float64)

    def groups(count: int) -> Any:
        labels, flat = randint_rounds(state, [(10, 1), (10, 640)], count)
        values = flat.reshape(count, 64, 10)
        for point, k in enumerate(labels[:, 0]):
            values[point, :, k] = values[point, 0, k]
        yield labels[:, 0], grid_rows(list(np.moveaxis(values, 2, 0)), TEN)

    variances = view.variances(grid_rows(list(state.randint(10, size=(2000, 10)).T), TEN))
    expected = SAMPLING["identity10"]["factor_global_variances"]
    np.testing.assert_allclose(variances, expected, atol=1e-9, rtol=0)
    check_golden(_score(view, variances, 10, groups(1000), groups(500)), "identity10", state)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("sizes", "batch", "width"), [((3, 1, 4), 2, 2), ((5, 2), 65, 1), ((2, 7), 130, 11)])
def test_dlib_is_a_plain_loop(dtype: Any, sizes: Any, batch: int, width: int) -> None:
    codes = np.random.default_rng(0).normal(size=(np.prod(sizes), width)).astype(dtype)
    codes[:, -3:-2] = 0.5  # a dead one: the reference packs the active ones
    state, other = np.random.RandomState(3), np.random.RandomState(3)
    result = grid_score(codes, sizes, (300, 200), batch, 99, state)
    rows = np.ravel_multi_index([other.randint(n, size=99) for n in sizes], sizes)
    variances = codes[rows].var(axis=0, ddof=1)
    active = np.flatnonzero(np.sqrt(variances) >= 0.05)
    votes = np.zeros((2, len(sizes), width), dtype=int)
    for point in range(500):
        k = other.randint(len(sizes))
        values = [other.randint(n, size=batch) for n in sizes]
        values[k][:] = values[k][0]
        local = codes[np.ravel_multi_index(values, sizes)].var(axis=0, ddof=1)
        votes[int(point >= 300), k, active[np.argmin(local[active] / variances[active])]] += 1
    assert result.variances.tolist() == variances.tolist()
    assert [result.train_votes.tolist(), result.test_votes.tolist()] == votes.tolist()
    assert state.randint(2**31 - 1) == other.randint(2**31 - 1)


steps = st.lists(st.tuples(st.integers(1, 70), st.integers(1, 9)), min_size=1, max_size=6)


@settings(max_examples=200)
@given(steps, st.integers(0, 40), st.integers(0, 2**32 - 1), st.integers(0, 700))
def test_many_draws_at_once_are_the_single_draws(steps: Any, rounds: int, seed: int, before: int) -> None:
    ours, theirs = np.random.RandomState(seed), np.random.RandomState(seed)
    for state in (ours, theirs):
        state.randint(3, size=before)
        state.normal()  # leaves a second one in the generator
    got = randint_rounds(ours, steps, rounds)
    expected = [[theirs.randint(n, size=size).tolist() for n, size in steps] for _ in range(rounds)]
    assert [[part[i].tolist() for part in got] for i in range(rounds)] == expected
    assert ours.normal(size=3).tolist() == theirs.normal(size=3).tolist()


def test_many_draws_at_once_when_more_words_are_skipped_than_expected(monkeypatch: Any) -> None:
    monkeypatch.setattr(_batches, "_SPARE", 0.2)
    ours, theirs = np.random.RandomState(0), np.random.RandomState(0)
    got = randint_rounds(ours, [(33, 1)], 2000)[0][:, 0]  # every other word is skipped
    assert got.tolist() == theirs.randint(33, size=2000).tolist()
    assert ours.randint(2**31) == theirs.randint(2**31)


def test_groups_agree_in_the_fixed_factor_only() -> None:
    table = grid()[::37]  # no grid any more
    partners = [Partners(v) for v in table.T]
    groups = list(table_groups(partners, len(table), 700, 64, np.random.default_rng(0)))
    assert len(groups) == 2  # chunks
    for labels, rows in groups:
        constant = (table[rows] == table[rows][:, :1]).all(axis=1)
        np.testing.assert_array_equal(constant, np.eye(len(SIZES), dtype=bool)[labels])
    for labels, rows in grid_groups((3, 4, 5), 700, 64, np.random.RandomState(0)):
        values = np.stack(np.unravel_index(rows, (3, 4, 5)), axis=-1)
        constant = (values == values[:, :1]).all(axis=1)
        np.testing.assert_array_equal(constant, np.eye(3, dtype=bool)[labels])


def test_default_has_the_reference_distribution() -> None:
    codes = golden_codes("linear_mix")
    ours, theirs = (factor_vae(codes, grid(), mode=mode) for mode in ("default", "dlib"))  # type: ignore[arg-type]
    np.testing.assert_allclose(ours.variances, theirs.variances, rtol=0.06)
    for a, b in ((ours.train_votes, theirs.train_votes), (ours.test_votes, theirs.test_votes)):
        assert (np.abs(a - b) <= 6 * np.sqrt(a + b + 1)).all()
    assert float(ours) == pytest.approx(float(theirs), abs=0.03)


def test_single_precision_codes_are_computed_in_double() -> None:
    codes = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    single, double = (factor_vae(z, SMALL, **FEW) for z in (codes, codes.astype(np.float64)))
    np.testing.assert_array_equal(single.variances, double.variances)
    assert single.test_votes.tolist() == double.test_votes.tolist()


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(1, 4), st.integers(2, 9))
def test_any_table(seed: int, rows: int, width: int, batch: int) -> None:
    rng = np.random.default_rng(seed)
    factors = np.vstack([rng.integers(0, 4, (rows, 2)), [[0, 5], [2**40, 0]]])
    codes = rng.normal(size=(rows + 2, width)).round(1)
    result = factor_vae(codes, factors, rng=seed, batch=batch, variance_points=50, **FEW)
    if result.active.any():
        assert result.train_votes.sum() == 200
        assert result.test_votes.sum() == 100
    assert (result.train_votes[:, ~result.active] == 0).all()
    told = result.train_votes.argmax(axis=0)
    assert float(result) == pytest.approx(result.test_votes[told, np.arange(width)].sum() / 100)
    share = result.test_votes.sum(axis=1) / 100
    assert (result.per_factor * share).sum() == pytest.approx(float(result))


def test_constant_and_weak_codes_are_not_active() -> None:
    codes = np.hstack([SMALL[:, :1] * 1.0, np.full((12, 1), 1e30), SMALL * 1e-3, SMALL[:, 1:] * 1e20])
    result = factor_vae(codes, SMALL, **FEW)
    assert result.active.tolist() == [True, False, False, False, True]
    assert result.scores() == {"factor_vae": 1.0, "factor_vae_train": 1.0, "factor_vae_active": 2.0}
    assert (result.test_votes > 0).tolist() == [[True, *[False] * 4], [*[False] * 4, True]]


@pytest.mark.parametrize("mode", ["default", "dlib"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_edges_give_numbers_and_no_warnings(mode: Any, dtype: Any) -> None:
    noise = np.random.default_rng(0).normal(size=(12, 3))
    tables = [
        noise[:, :1],
        noise * 1e-30,
        noise * 1e-45,
        noise * 1e4,
        1 + 1e-7 * noise,
        np.full((12, 2), 0.3),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for table in tables:
            scores = factor_vae(table.astype(dtype), SMALL, mode=mode, **FEW).scores()
            assert all(np.isfinite(value) for value in scores.values())


def test_no_active_code_scores_zero_and_draws_no_votes() -> None:
    state, other = np.random.RandomState(0), np.random.RandomState(0)
    result = factor_vae(SMALL * 1e-3, SMALL, rng=state, mode="dlib", variance_points=50, **FEW)
    assert result.scores() == {"factor_vae": 0.0, "factor_vae_train": 0.0, "factor_vae_active": 0.0}
    for n in (3, 4):
        other.randint(n, size=50)
    assert state.randint(2**31) == other.randint(2**31)


def test_two_rows() -> None:
    result = factor_vae([[0.0, 0.0], [1.0, 0.1]], [[0, 0], [1, 1]], **FEW)
    assert result.test_votes[:, 1].tolist() == [0, 0]  # nothing varies: the first active code
    assert result.test_votes[:, 0].sum() == 100


def test_bad_input() -> None:
    with pytest.raises(InputError, match="factors have 1 column; expected at least 2"):
        factor_vae(SMALL * 1.0, SMALL[:, :1])
    with pytest.raises(InputError, match=r"no row-major grid of sizes .*: row 0, column 0 differs"):
        factor_vae(SMALL * 1.0, SMALL[::-1], mode="dlib")
    with pytest.raises(InputError, match=r"mode is 'exact'; expected one of \('default', 'dlib'\)"):
        factor_vae(SMALL * 1.0, SMALL, mode="exact")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"rng is RandomState.*expected a non-negative integer seed"):
        factor_vae(SMALL * 1.0, SMALL, rng=np.random.RandomState(0))
    with pytest.raises(InputError, match="batch is 1; expected a whole number of at least 2"):
        factor_vae(SMALL * 1.0, SMALL, batch=1)
    with pytest.raises(InputError, match="variance_points is 1; expected at least 2"):
        factor_vae(SMALL * 1.0, SMALL, variance_points=1)
    with pytest.raises(InputError, match=r"codes are -2e\+150 in row 1, column 1, too large"):
        factor_vae(np.where(SMALL == [[1, 1]], -2e150, 1.0), SMALL)
    with pytest.raises(InputError, match=r"codes are 1.0.*e\+16 in row 0.* up to 1.8e\+15"):
        factor_vae(np.full((12, 1), 1e16, dtype=np.float32), SMALL, mode="dlib")
