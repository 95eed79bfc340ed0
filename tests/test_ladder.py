"""The calibration ladder: its representations are what they are said to be."""

from dataclasses import replace

import numpy as np
import pytest

from disentangle.ladder import CASES, ORIENTATION, RUNGS, SCALE, SHAPE, VALUES, X, Y
from disentangle.ladder_published import published

SIZES = (3, 4, 6, 5, 5)
SMALL = {rung.name: replace(rung, sizes=SIZES) for rung in RUNGS}
CASE = {rung.name: rung for rung in CASES}


def codes(name, seed=0, instance=0):
    rung = SMALL.get(name) or CASE[name]
    return rung.codes(rung.factors(), seed, instance)


def distinct(table):
    return len(np.unique(table, axis=0))


@pytest.mark.parametrize("name", SMALL)
def test_codes_are_float32_seeded_and_of_the_full_grid(name):
    rung = SMALL[name]
    factors = rung.factors()
    assert len(factors) == np.prod(SIZES) == distinct(factors)
    assert np.array_equal(factors, np.stack(np.unravel_index(np.arange(len(factors)), SIZES), 1))
    first = codes(name)
    assert first.dtype == np.float32
    assert len(first) == len(factors)
    assert np.array_equal(first, codes(name))
    drawn = name in ("noisy 0.1", "noisy 0.5", "rotated", "entangled", "random")
    assert np.array_equal(first, codes(name, seed=1)) != drawn


def test_names_are_unique_and_each_is_described_in_a_line():
    names = [rung.name for rung in (*RUNGS, *CASES)]
    assert len(set(names)) == len(names)
    assert all(rung.about and "\n" not in rung.about for rung in (*RUNGS, *CASES))


def test_identity_is_the_factors_in_minus_one_to_one():
    z, v = codes("identity"), SMALL["identity"].factors()
    assert np.allclose(z, 2 * v / (np.array(SIZES) - 1) - 1)


@pytest.mark.parametrize("deviation", [0.1, 0.5])
def test_noise_has_its_deviation(deviation):
    noise = codes(f"noisy {deviation}") - codes("identity")
    assert noise.std() == pytest.approx(deviation, rel=0.05)
    assert abs(noise.mean()) < 0.05 * deviation


def test_dead_and_constant_codes_are_constant():
    z = codes("dead")
    assert np.array_equal(z[:, :5], codes("identity"))
    assert z.shape[1] == 10
    assert (z[:, 5:] == z[0, 5:]).all()
    assert distinct(codes("constant")) == 1


def test_duplicated_codes_are_equal():
    z = codes("duplicated")
    assert np.array_equal(z[:, ::2], z[:, 1::2])
    assert np.array_equal(z[:, ::2], codes("identity"))


def test_the_merged_code_tells_both_factors_and_the_others_none():
    z, v = codes("merged"), SMALL["merged"].factors()
    pairs = v[:, [SHAPE, SCALE]]
    assert len(np.unique(z[:, 0])) == distinct(pairs) == distinct(np.column_stack([pairs, z[:, 0]]))
    assert np.array_equal(z[:, 1:], codes("identity")[:, SCALE + 1 :])


def test_the_missing_factor_is_in_no_code():
    z, v = codes("missing"), SMALL["missing"].factors()
    of_value = [np.unique(z[v[:, ORIENTATION] == value], axis=0) for value in range(SIZES[ORIENTATION])]
    assert all(np.array_equal(found, of_value[0]) for found in of_value)
    assert distinct(z) * SIZES[ORIENTATION] == len(z)


def test_rotations_keep_lengths_and_mix_what_they_should():
    z, plain = codes("rotated pair"), codes("identity")
    assert np.allclose(np.linalg.norm(z, axis=1), np.linalg.norm(plain, axis=1), atol=1e-6)
    assert np.allclose(z[:, [X, Y]] @ [[1, 1], [-1, 1]] / np.sqrt(2), plain[:, [X, Y]], atol=1e-6)
    rest = [i for i in range(5) if i not in (X, Y)]
    assert np.array_equal(z[:, rest], plain[:, rest])
    z = codes("rotated")
    assert np.allclose(z.T @ z / len(z), np.eye(5), atol=1e-5)
    assert np.abs(np.corrcoef(z.T, plain.T)[:5, 5:]).max() < 0.99


@pytest.mark.parametrize("name", ["rotated", "entangled"])
def test_mixtures_keep_all_information(name):
    assert distinct(codes(name)) == len(codes(name))


def test_random_codes_know_nothing_and_entangled_ones_are_mixed():
    v = SMALL["random"].factors()
    assert np.abs(np.corrcoef(codes("random").T, v.T)[:10, 10:]).max() < 0.1
    assert np.abs(np.corrcoef(codes("entangled").T, v.T)[:10, 10:]).max() < 0.95


@pytest.mark.parametrize("name", SMALL)
def test_another_instance_has_other_order_and_signs(name):
    first, other = codes(name), codes(name, instance=1)
    assert first.shape == other.shape
    assert not np.array_equal(first, other)
    if name in ("identity", "dead", "duplicated", "merged", "missing", "rotated pair", "constant"):
        alike = [[np.array_equal(abs(a), abs(b)) for b in other.T] for a in first.T]
        assert np.array(alike).any(axis=0).all()
        assert np.array(alike).any(axis=1).all()


@pytest.mark.parametrize("grid", CASES[::2], ids=lambda rung: rung.name)
def test_cases_are_those_published(grid):
    binned = CASE[f"{grid.name}, binned"]
    assert grid.case in {row["dataset"] for row in published()}
    assert binned.case == grid.case
    for rung in (grid, binned):
        v, z = rung.factors(), rung.codes(rung.factors())
        assert distinct(v) == VALUES ** len(rung.sizes)
        assert len(v) == distinct(v) * rung.copies
        if "cos" in rung.name:
            cosine, sine = z[:, :4], z[:, 4:]
            assert np.allclose(cosine**2 + sine**2, 1, atol=1e-6)
            angle = np.arctan2(sine, cosine) % (2 * np.pi)
        else:
            angle = z[:, :: z.shape[1] // v.shape[1]]
            assert np.array_equal(np.repeat(angle, z.shape[1] // v.shape[1], axis=1), z)
        offset = (angle * VALUES / (2 * np.pi) - v + 0.5) % VALUES - 0.5  # around the circle
        assert (np.abs(offset) < 1e-5).all() if rung is grid else ((offset > -1e-4) & (offset < 1.0001)).all()
