"""The beta-VAE score: the reference's draws and numbers, and the same distribution for any table."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from disentangle.errors import InputError
from disentangle.metrics.beta_vae import _Partners, beta_vae, grid_points, table_points

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
def test_golden_features(name: str) -> None:
    golden = SAMPLING[f"shapes3d_{name}"]
    features, labels = grid_points(
        golden_codes(name), SIZES, 1000, 64, np.random.RandomState(SAMPLING["seed"])
    )
    np.testing.assert_allclose(features[:3], golden["beta_train_points_first3"], atol=1e-9, rtol=0)
    assert labels[:20].tolist() == golden["beta_train_labels_first20"]
    assert features.sum() == pytest.approx(golden["beta_train_points_sum"], abs=1e-6)


def test_a_seed_is_a_random_state() -> None:
    arguments = {"mode": "dlib", "train_points": 50, "test_points": 50, "batch": 4}
    codes = golden_codes("low3")
    by_seed = beta_vae(codes, grid(), rng=7, **arguments)  # type: ignore[arg-type]
    by_state = beta_vae(codes, grid(), rng=np.random.RandomState(7), **arguments)  # type: ignore[arg-type]
    assert by_seed.scores() == by_state.scores()


def test_default_has_the_reference_distribution() -> None:
    codes, partners = golden_codes("linear_mix"), [_Partners(v) for v in grid().T]
    ours, labels = table_points(codes, partners, 3000, 16, np.random.default_rng(0))
    theirs, their_labels = grid_points(codes, SIZES, 3000, 16, np.random.RandomState(0))
    for k in range(len(SIZES)):
        a, b = ours[labels == k], theirs[their_labels == k]
        error = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
        assert (np.abs(a.mean(0) - b.mean(0)) < 4.5 * error).all()
        assert (np.abs(a.std(0) / b.std(0) - 1) < 0.2).all()


def test_partners_agree_and_are_uniform() -> None:
    values = np.array([5, 0, 5, 9, 5, 0])
    rows = np.repeat(np.arange(6), 3000)
    drawn = _Partners(values).draw(rows, np.random.default_rng(0)).reshape(6, -1)
    for row, got in enumerate(drawn):
        allowed = np.flatnonzero(values == values[row])
        share = np.bincount(got, minlength=6)[allowed] / len(got)
        assert share.sum() == pytest.approx(1)
        np.testing.assert_allclose(share, 1 / len(allowed), atol=0.05)


def test_fixed_factor_of_the_identity_has_zero_difference() -> None:
    factors = grid()[::37]  # no grid any more
    features, labels = table_points(
        factors, [_Partners(v) for v in factors.T], 700, 64, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(features == 0, np.eye(len(SIZES), dtype=bool)[labels])
    assert set(labels) == set(range(len(SIZES)))


def test_points_beyond_one_chunk_all_count() -> None:
    factors = np.indices((3, 4)).reshape(2, -1).T
    features, _ = table_points(
        factors, [_Partners(v) for v in factors.T], 5, 40_000, np.random.default_rng(0)
    )
    assert ((features > 0).sum(axis=1) == 1).all()


def test_differences_are_taken_in_double_precision() -> None:
    codes = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    partners = [_Partners(v) for v in SMALL.T]
    single, _ = table_points(codes, partners, 20, 7, np.random.default_rng(0))
    double, _ = table_points(codes.astype(np.float64), partners, 20, 7, np.random.default_rng(0))
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
    with pytest.raises(InputError, match="mode is 'exact'; expected 'default' or 'dlib'"):
        beta_vae(SMALL * 1.0, SMALL, mode="exact")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="RandomState, which only mode 'dlib' uses"):
        beta_vae(SMALL * 1.0, SMALL, rng=np.random.RandomState(0))
    with pytest.raises(InputError, match="mode 'dlib' expects a seed"):
        beta_vae(SMALL * 1.0, SMALL, rng=np.random.default_rng(0), mode="dlib")
    with pytest.raises(InputError, match="batch is 0"):
        beta_vae(SMALL * 1.0, SMALL, batch=0)
    with pytest.raises(InputError, match="train_points is 1; expected at least one per factor, 2"):
        beta_vae(SMALL * 1.0, SMALL, train_points=1)
