"""The beta-VAE score: the reference's draws and numbers, and the same distribution for any table."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from disentangle.errors import InputError
from disentangle.find import get
from disentangle.metrics._batches import Partners, grid_rows, randint_rounds, table_pairs
from disentangle.metrics.beta_vae import beta_vae, grid_points, points

SAMPLING = json.loads((Path(__file__).parent / "golden" / "sampling.json").read_text())
SIZES = (10, 10, 10, 8, 4, 15)
NAMES = ("axis_dead", "linear_mix", "axis_weak", "sin_mix", "low3")


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


@pytest.mark.parametrize("name", NAMES)
def test_golden_scores_and_the_generator_after(name: str) -> None:
    golden = SAMPLING[f"shapes3d_{name}"]
    state = np.random.RandomState(SAMPLING["seed"])
    sizes = {"train_points": 1000, "test_points": 500}
    result = beta_vae(golden_codes(name), grid(), rng=state, mode="dlib", **sizes)
    assert float(result) == golden["beta_vae"]["eval_accuracy"]
    assert result.train_accuracy == golden["beta_vae"]["train_accuracy"]
    assert state.randint(2**31 - 1) == golden["beta_vae_next_randint31_after"]


@pytest.mark.parametrize("name", NAMES)
def test_golden_scores_of_the_old_classifier(name: str) -> None:
    golden = SAMPLING[f"shapes3d_{name}"]["beta_vae_ovr_liblinear"]
    sizes = {"train_points": 1000, "test_points": 500}
    result = beta_vae(golden_codes(name), grid(), rng=SAMPLING["seed"], mode="dlib2019", **sizes)
    assert float(result) == golden["eval_accuracy"]
    assert result.train_accuracy == golden["train_accuracy"]
    assert result.converged
    assert get("metric", "beta_vae").named({**get("metric", "beta_vae").published, "mode": "dlib2019"}) == (
        "beta_vae@dlib2019"
    )


def check_golden_points(drawn: tuple[Any, Any], golden: dict[str, Any]) -> None:
    features, labels = drawn
    np.testing.assert_allclose(features[:3], golden["beta_train_points_first3"], atol=1e-9, rtol=0)
    assert labels[:20].tolist() == golden["beta_train_labels_first20"]
    assert features.sum() == pytest.approx(golden["beta_train_points_sum"], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_golden_features(name: str) -> None:
    state = np.random.RandomState(SAMPLING["seed"])
    drawn = grid_points(golden_codes(name), SIZES, 1000, 64, state)
    check_golden_points(drawn, SAMPLING[f"shapes3d_{name}"])


class Digits:
    """Codes of a grid of 10**10 rows, which are its factors."""

    dtype = np.dtype(np.float64)

    def take(self, rows: Any, axis: int) -> Any:
        return np.stack(np.unravel_index(rows, (10,) * 10), axis=-1).astype(np.float64)


def identity_pairs(state: np.random.RandomState, count: int) -> Any:
    """The golden identity data draw all factors in one call, point by point."""
    labels, *both = randint_rounds(state, [(10, 1), (10, 640), (10, 640)], count)
    first, second = (values.reshape(count, 64, 10) for values in both)
    for point, k in enumerate(labels[:, 0]):
        second[point, :, k] = first[point, :, k]
    yield labels[:, 0], *(grid_rows(list(np.moveaxis(v, 2, 0)), (10,) * 10) for v in (first, second))


def test_golden_identity_of_ten_factors() -> None:
    golden, state = SAMPLING["identity10"], np.random.RandomState(SAMPLING["seed"])
    train, test = (points(Digits(), identity_pairs(state, n), np.float64) for n in (1000, 500))
    check_golden_points(train, golden)
    assert state.randint(2**31 - 1) == golden["beta_vae_next_randint31_after"]
    assert test[0].shape == (500, 10)
    ours, labels = grid_points(Digits(), (10,) * 10, 1000, 64, np.random.RandomState(SAMPLING["seed"]))
    assert labels.tolist() == train[1].tolist()  # another order of the same number of draws
    for features in (ours, train[0]):
        np.testing.assert_array_equal(features == 0, np.eye(10, dtype=bool)[labels])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("sizes", "batch", "width"), [((3, 1, 4), 1, 2), ((5, 2), 65, 1), ((2, 7), 130, 11)])
def test_grid_points_are_the_ones_of_a_plain_loop(dtype: Any, sizes: Any, batch: int, width: int) -> None:
    codes = np.random.default_rng(0).normal(size=(np.prod(sizes), width)).astype(dtype)
    state, other = np.random.RandomState(3), np.random.RandomState(3)
    features, labels = grid_points(codes, sizes, 300, batch, state)
    for label, feature in zip(labels, features, strict=True):
        k = other.randint(len(sizes))
        first, second = ([other.randint(n, size=batch) for n in sizes] for _ in range(2))
        second[k] = first[k]
        z1, z2 = (codes[np.ravel_multi_index(values, sizes)] for values in (first, second))
        assert label == k
        assert feature.tolist() == np.abs(z1 - z2).mean(axis=0).tolist()
    assert state.randint(2**31 - 1) == other.randint(2**31 - 1)


def test_numbers_of_version_1_stay() -> None:
    factors = np.indices((4, 5, 3)).reshape(3, -1).T[::-2]
    codes = np.random.default_rng(1).normal(0, 4, (30, 4)) + factors[:, [0, 1, 2, 2]]
    partners = [Partners(v) for v in factors.T]
    features, labels = points(
        codes, table_pairs(partners, 30, 1000, 50, np.random.default_rng(2)), np.float64
    )
    assert labels[:12].tolist() == [2, 0, 0, 0, 1, 2, 1, 0, 1, 1, 2, 2]
    assert features.sum() == pytest.approx(14101.679528362853, abs=1e-6)
    result = beta_vae(codes, factors, rng=2, train_points=1000, test_points=500, batch=50)
    assert result.scores() == pytest.approx({"beta_vae": 0.49, "beta_vae_train": 0.586}, abs=0.003)


def test_a_seed_is_a_random_state() -> None:
    arguments = {"mode": "dlib", "train_points": 50, "test_points": 50, "batch": 4}
    codes = golden_codes("low3")
    by_seed = beta_vae(codes, grid(), rng=7, **arguments)  # type: ignore[arg-type]
    by_state = beta_vae(codes, grid(), rng=np.random.RandomState(7), **arguments)  # type: ignore[arg-type]
    assert by_seed.scores() == by_state.scores()


def table_points(codes: Any, factors: Any, count: int, batch: int) -> Any:
    partners = [Partners(v) for v in factors.T]
    pairs = table_pairs(partners, len(codes), count, batch, np.random.default_rng(0))
    return points(codes, pairs, np.float64)


def test_default_has_the_reference_distribution() -> None:
    codes = golden_codes("linear_mix")
    ours, labels = table_points(codes, grid(), 3000, 16)
    theirs, their_labels = grid_points(codes, SIZES, 3000, 16, np.random.RandomState(0))
    for k in range(len(SIZES)):
        a, b = ours[labels == k], theirs[their_labels == k]
        error = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
        assert (np.abs(a.mean(0) - b.mean(0)) < 4.5 * error).all()
        assert (np.abs(a.std(0) / b.std(0) - 1) < 0.2).all()


def test_partners_agree_and_are_uniform() -> None:
    values = np.array([5, 0, 5, 9, 5, 0])
    rows = np.repeat(np.arange(6), 3000)
    drawn = Partners(values).draw(rows, np.random.default_rng(0)).reshape(6, -1)
    for row, got in enumerate(drawn):
        allowed = np.flatnonzero(values == values[row])
        share = np.bincount(got, minlength=6)[allowed] / len(got)
        assert share.sum() == pytest.approx(1)
        np.testing.assert_allclose(share, 1 / len(allowed), atol=0.05)


def test_fixed_factor_of_the_identity_has_zero_difference() -> None:
    factors = grid()[::37]  # no grid any more
    features, labels = table_points(factors, factors, 700, 64)
    np.testing.assert_array_equal(features == 0, np.eye(len(SIZES), dtype=bool)[labels])
    assert set(labels) == set(range(len(SIZES)))


def test_points_beyond_one_chunk_all_count() -> None:
    factors = np.indices((3, 4)).reshape(2, -1).T
    features, _ = table_points(factors, factors, 5, 40_000)
    assert ((features > 0).sum(axis=1) == 1).all()


def test_differences_are_taken_in_double_precision() -> None:
    codes = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    single, _ = table_points(codes, SMALL, 20, 7)
    double, _ = table_points(codes.astype(np.float64), SMALL, 20, 7)
    np.testing.assert_array_equal(single, double)


def test_unsigned_codes_do_not_wrap_around() -> None:
    codes = SMALL.astype(np.uint8)
    features, _ = grid_points(codes, (3, 4), 20, 8, np.random.RandomState(0))
    expected, _ = grid_points(codes.astype(np.float64), (3, 4), 20, 8, np.random.RandomState(0))
    np.testing.assert_array_equal(features, expected)


SMALL = np.indices((3, 4)).reshape(2, -1).T


def test_bad_factors() -> None:
    with pytest.raises(InputError, match="factors have 1 column; expected at least 2"):
        beta_vae(SMALL * 1.0, SMALL[:, :1])
    with pytest.raises(InputError, match=r"11 rows where a full grid of sizes .* has 12"):
        beta_vae(SMALL[:-1] * 1.0, SMALL[:-1], mode="dlib")
    with pytest.raises(InputError, match=r"no row-major grid of sizes .*: row 0, column 0 differs"):
        beta_vae(SMALL * 1.0, SMALL[::-1], mode="dlib")


def test_bad_options() -> None:
    with pytest.raises(
        InputError, match=r"mode is 'exact'; expected one of \('default', 'dlib', 'dlib2019'\)"
    ):
        beta_vae(SMALL * 1.0, SMALL, mode="exact")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"rng is RandomState.*expected a non-negative integer seed"):
        beta_vae(SMALL * 1.0, SMALL, rng=np.random.RandomState(0))
    with pytest.raises(InputError, match="mode 'dlib' expects a seed"):
        beta_vae(SMALL * 1.0, SMALL, rng=np.random.default_rng(0), mode="dlib")
    with pytest.raises(
        InputError, match=r"codes are .* in row 0, column 0.*expected magnitudes up to 5.0e\+29"
    ):
        beta_vae(SMALL * 1e30 + 1e30, SMALL, mode="dlib2019")
    with pytest.raises(InputError, match=r"too large for this metric; expected magnitudes up to 7\.0e"):
        beta_vae(SMALL * 2e307, SMALL)
    with pytest.raises(InputError, match="batch is 0"):
        beta_vae(SMALL * 1.0, SMALL, batch=0)
    with pytest.raises(InputError, match="train_points is 1; expected at least one per factor, 2"):
        beta_vae(SMALL * 1.0, SMALL, train_points=1)
