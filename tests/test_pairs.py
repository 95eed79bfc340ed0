"""The laws of weakly supervised pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentangle import InputError, sample_pairs

DSPRITES, SHAPES3D = (3, 6, 40, 32, 32), (10, 10, 10, 8, 4, 15)
grids = st.lists(st.integers(2, 9), min_size=2, max_size=6).map(tuple)


@given(grids, st.data(), st.sampled_from(["paper", "dlib"]), st.integers(0, 2**31))
def test_values_are_in_range_and_unchanged_factors_equal(sizes, data, rule, seed):
    k = data.draw(st.one_of(st.integers(1, len(sizes)), st.just("rnd")))
    pairs = sample_pairs(sizes, 50, k, rule, seed)
    for factors in (pairs.first, pairs.second):
        assert factors.shape == (50, len(sizes))
        assert (factors >= 0).all()
        assert (factors < np.array(sizes)).all()
    assert not (pairs.changed & ~pairs.redrawn).any()
    most = len(sizes) - 1 if k == "rnd" else k
    assert ((pairs.redrawn.sum(1) >= 1) & (pairs.redrawn.sum(1) <= most)).all()
    assert pairs.redrawn[np.arange(50), pairs.label].all()


@given(grids, st.data(), st.integers(0, 2**31))
def test_paper_pairs_change_exactly_k_factors(sizes, data, seed):
    k = data.draw(st.integers(1, len(sizes)))
    pairs = sample_pairs(sizes, 50, k, "paper", seed)
    assert (pairs.changed.sum(1) == k).all()
    assert np.array_equal(pairs.changed, pairs.redrawn)


@given(grids, st.integers(0, 2**31), st.sampled_from(["paper", "dlib"]))
def test_the_same_seed_gives_the_same_pairs(sizes, seed, rule):
    a, b = (sample_pairs(sizes, 20, "rnd", rule, seed) for _ in range(2))
    assert np.array_equal(a.first, b.first)
    assert np.array_equal(a.second, b.second)
    other = sample_pairs(sizes, 20, "rnd", rule, np.random.default_rng(seed))
    assert np.array_equal(a.second, other.second)


@pytest.mark.parametrize(("sizes", "share"), [(DSPRITES, 0.118), (SHAPES3D, 0.124)])
def test_dlib_leaves_the_stated_share_of_pairs_identical(sizes, share):
    pairs = sample_pairs(sizes, 200_000, 1, "dlib", 0)
    assert (~pairs.changed.any(1)).mean() == pytest.approx(share, abs=0.002)


def test_paper_rnd_is_uniform_over_the_counts():
    counts = np.bincount(sample_pairs(DSPRITES, 100_000, "rnd", "paper", 0).changed.sum(1))
    assert np.allclose(counts[1:] / 100_000, 1 / 4, atol=0.006)
    assert len(counts) == 5


def test_dlib_k_redraws_one_factor_half_the_time():
    counts = np.bincount(sample_pairs(SHAPES3D, 100_000, 3, "dlib", 0).redrawn.sum(1), minlength=4)
    assert np.allclose(counts / 100_000, [0, 0.5, 0, 0.5], atol=0.006)


def test_dlib_rnd_is_a_coin_between_one_and_a_uniform_count():
    counts = np.bincount(sample_pairs(DSPRITES, 100_000, "rnd", "dlib", 0).redrawn.sum(1))
    assert np.allclose(counts / 100_000, [0, 0.625, 0.125, 0.125, 0.125], atol=0.006)


@pytest.mark.parametrize("rule", ["paper", "dlib"])
def test_every_factor_is_chosen_equally_often_and_values_are_uniform(rule):
    pairs = sample_pairs(DSPRITES, 100_000, 1, rule, 0)
    assert np.allclose(pairs.redrawn.mean(0), 1 / 5, atol=0.006)
    moved = pairs.second[pairs.redrawn[:, 1], 1]
    assert np.allclose(np.bincount(moved) / len(moved), 1 / 6, atol=0.01)


def test_a_factor_with_one_value_never_changes_under_paper():
    pairs = sample_pairs((4, 1, 3), 500, 2, "paper", 0)
    assert not pairs.changed[:, 1].any()
    assert (pairs.changed.sum(1) == 2).all()


@pytest.mark.parametrize("k", [0, 6, -1, 2.5, "all", True, None])
def test_a_k_out_of_range_is_refused_with_its_value(k):
    with pytest.raises(InputError, match=rf"k must be 'rnd' or an integer in 1..5 .* got {k!r}"):
        sample_pairs(DSPRITES, 5, k)


def test_an_unknown_rule_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="unknown pair rule 'papper'; did you mean 'paper'"):
        sample_pairs(DSPRITES, 5, 1, "papper")
