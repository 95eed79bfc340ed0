"""The two t-tests and Holm's correction: by hand, and their laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from disentangle.compare_statistics import holm, paired, welch

A, B = [0.3, 0.5, 0.4], [0.2, 0.3, 0.1]
samples = st.lists(st.integers(-1000, 1000).map(lambda i: i / 1000), min_size=2, max_size=8)


def test_the_paired_test_by_hand():
    # Differences .1, .2, .3: mean .2, deviation .1, t = .2 / (.1 / sqrt(3)), t(0.975, 2) = 4.302653.
    test = paired(A, B)
    assert test.difference == pytest.approx(0.2)
    assert test.half_width == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)
    assert test.effect == pytest.approx(2.0)
    assert test.p == pytest.approx(stats.ttest_rel(A, B).pvalue)


def test_welchs_test_by_hand():
    # Means .4 and .25, variances .01 and .005: se^2 = .01 / 3 + .005 / 2.
    a, b = [0.3, 0.5, 0.4], [0.2, 0.3]
    test, reference = welch(a, b), stats.ttest_ind(a, b, equal_var=False)
    error = (0.01 / 3 + 0.005 / 2) ** 0.5
    freedom = error**4 / ((0.01 / 3) ** 2 / 2 + (0.005 / 2) ** 2)
    assert test.difference == pytest.approx(0.15)
    assert test.half_width == pytest.approx(stats.t.ppf(0.975, freedom) * error)
    assert test.half_width == pytest.approx(float(np.diff(reference.confidence_interval(0.95))[0]) / 2)
    assert test.p == pytest.approx(reference.pvalue)
    # J(3) = gamma(1.5) / (sqrt(1.5) gamma(1)), the pooled deviation is sqrt((2 * .01 + .005) / 3).
    assert test.effect == pytest.approx(math.gamma(1.5) / 1.5**0.5 * 0.15 / (0.025 / 3) ** 0.5)


def test_holm_by_hand_and_ties():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms())
def test_holm_lies_between_p_and_bonferroni_and_knows_no_order(p, random):
    adjusted = dict(zip(p, holm(p), strict=True))
    for value, new in adjusted.items():
        assert value <= new <= min(1, len(p) * value)
    shuffled = random.sample(p, len(p))
    assert holm(shuffled) == [adjusted[value] for value in shuffled]


@given(samples, samples)
def test_swapping_the_samples_changes_signs_alone(a, b):
    size = min(len(a), len(b))
    both = (welch, a, b), (paired, a[:size], b[:size])
    for test, swapped in ((kind(x, y), kind(y, x)) for kind, x, y in both):
        if test is None or swapped is None:
            assert test is swapped
            continue
        assert (test.difference, test.effect) == (-swapped.difference, -swapped.effect)
        assert (test.half_width, test.p) == (swapped.half_width, swapped.p)
        assert 0 <= test.p <= 1
        inside = abs(test.difference) <= test.half_width
        assert inside == (test.p >= 0.05) or test.p == pytest.approx(0.05)


def test_equal_means_that_vary_have_p_1_and_no_effect():
    for test in (paired([0.1, 0.4, 0.7], [0.4, 0.7, 0.1]), welch([0.1, 0.3], [0.2, 0.3, 0.1])):
        assert (test.difference, test.effect, test.p) == (0, 0, 1)


@given(samples, st.sampled_from([0, 0.1, -0.25]))
def test_without_a_spread_but_rounding_there_is_no_test(a, by):
    shifted = [value + by + 0.1 - 0.1 for value in a]
    assert paired(a, shifted) is None
    assert welch([a[0]] * 3, [shifted[0] + 0.1 - 0.1, shifted[0]]) is None
    assert welch([0.2, 0.2], [0.1, 0.3]) is not None
