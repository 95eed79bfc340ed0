"""Pixel noise: numbers that are a hash of key and position, the same in every form, and as good as random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.pixel_noise import AT_ONCE, _words, by_tensors, integers, positions, uniforms

TABLE = positions(3 * 64 * 64)
# Of the keys 0, 1, 2**62 and -1, times 2**24.
KNOWN = [
    [12766582, 11671118, 12381022],
    [7676749, 2338060, 6259909],
    [3292310, 13937792, 1577556],
    [13540202, 1904107, 10484499],
]
keys_of_any_kind = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20)


def random_keys(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 2**63 - 1, n, endpoint=True))


def in_python(key: int, position: int) -> float:
    """The definition, one number at a time in Python's integers."""
    word = 2**32 - 1

    def mixed(x: int) -> int:
        x = (x ^ x >> 16) * 0x21F0AAAD & word
        x = (x ^ x >> 15) * 0x735A2D97 & word
        return x ^ x >> 15

    low, high = key & word, key >> 32 & word
    second = high ^ mixed(low ^ 0x9E3779B9)
    first = low ^ mixed(second)
    x = mixed(position + 0x9E3779B9 & word) ^ first
    x = (x ^ x >> 16) * 0x21F0AAAD & word
    x = ((x ^ x >> 15) * 0x735A2D97 + second) & word
    return ((x ^ x >> 15) >> 8) / 2**24


def excess(first: np.ndarray, second: np.ndarray, bins: int = 16) -> float:
    """Chi-square of pairs of numbers in bins, in standard deviations from what independence gives."""
    cells = (first * bins).astype(int) * bins + (second * bins).astype(int)
    expected, freedom = cells.size / bins**2, bins**2 - 1
    counts = np.bincount(cells.ravel(), minlength=bins**2)
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


@settings(max_examples=30)
@given(keys_of_any_kind, st.integers(1, 40))
def test_both_forms_are_the_definition_to_the_bit(keys: list[int], count: int) -> None:
    tensor, table = torch.tensor(keys), positions(count)
    expected = torch.tensor([[in_python(key, i) for i in range(count)] for key in keys])
    assert torch.equal(uniforms(tensor, table), expected)
    assert torch.equal(by_tensors(*_words(tensor), table), expected)


def test_both_forms_agree_on_whole_batches() -> None:
    keys = torch.cat([random_keys(200), ~torch.arange(200)])
    assert len(keys) * len(TABLE) > AT_ONCE  # so that the tensor form computes it in parts
    assert torch.equal(uniforms(keys, TABLE), by_tensors(*_words(keys), TABLE))


def test_products_stay_below_2_to_the_63() -> None:
    assert (2**32 - 1) * max(0x21F0AAAD, 0x735A2D97) + 2**32 < 2**63


def test_known_values_do_not_change() -> None:
    """Another value here makes other images: then `pixel_noise.VERSION` must rise."""
    found = (uniforms(torch.tensor([0, 1, 2**62, -1]), positions(3)) * 2**24).to(torch.int64)
    assert found.tolist() == KNOWN


@settings(max_examples=30)
@given(keys_of_any_kind, st.randoms())
def test_a_key_gives_the_same_numbers_in_any_batch_and_order(keys: list[int], rng) -> None:
    order = rng.sample(range(len(keys)), len(keys))
    all_at_once = uniforms(torch.tensor(keys), positions(9))
    assert torch.equal(uniforms(torch.tensor([keys[i] for i in order]), positions(9)), all_at_once[order])
    assert torch.equal(uniforms(torch.tensor(keys[-1:]), positions(4)), all_at_once[-1:, :4])
    strided = torch.tensor([[key, 0] for key in keys])[:, 0]
    assert torch.equal(uniforms(strided, positions(9)), all_at_once)


def test_no_keys_and_no_positions() -> None:
    assert uniforms(torch.tensor([], dtype=torch.int64), TABLE).shape == (0, len(TABLE))
    assert uniforms(torch.tensor([3]), positions(0)).shape == (1, 0)


def test_they_are_uniform() -> None:
    for keys in (random_keys(200), torch.arange(200), ~torch.arange(200), torch.arange(200) << 32):
        u = uniforms(keys, TABLE).double().numpy().ravel()
        assert 0 <= u.min() < 1e-5
        assert 1 - 1e-5 < u.max() < 1
        assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / u.size)
        assert abs(u.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / u.size)
        assert abs(excess(u, u * 16 % 1)) < 4.5  # the upper eight bits
        assert abs(excess(u * 2**16 % 1, u * 2**20 % 1)) < 4.5  # the lower eight


@pytest.mark.parametrize("lag", [1, 2, 3, 8, 64, 3 * 64])
def test_neighbouring_positions_are_independent(lag: int) -> None:
    u = uniforms(random_keys(200), TABLE).numpy()
    assert abs(excess(u[:, lag:], u[:, :-lag])) < 4.5


@pytest.mark.parametrize("step", [1, 2, 1024, 2**31, 2**32, 2**62])
def test_neighbouring_keys_are_independent(step: int) -> None:
    keys = torch.arange(200) + 1000
    assert abs(excess(uniforms(keys, TABLE).numpy(), uniforms(keys + step, TABLE).numpy())) < 4.5


def test_each_bit_of_a_key_changes_all_numbers() -> None:
    keys = random_keys(20)
    u = uniforms(keys, TABLE).numpy()
    for bit in range(64):
        other = uniforms(keys ^ (torch.tensor(1) << bit), TABLE).numpy()
        assert abs(excess(u, other)) < 4.5, bit
        assert (u == other).mean() < 1e-5, bit


def test_positions_are_uncorrelated_over_the_keys_of_an_evaluation() -> None:
    u = uniforms(~torch.arange(100_000), positions(100)).double().numpy()
    scores = np.corrcoef(u.T)[np.triu_indices(100, 1)] * np.sqrt(len(u))
    assert abs((scores**2).mean() - 1) < 4 * np.sqrt(2 / len(scores))
    assert abs(scores).max() < 5


def test_no_two_keys_have_the_same_words_or_numbers() -> None:
    keys = torch.cat([torch.arange(200_000), ~torch.arange(200_000), random_keys(200_000)])
    words = torch.stack(_words(keys), dim=1)
    assert len(np.unique(words.numpy(), axis=0)) == len(keys)
    assert len(np.unique(uniforms(keys, positions(4)).numpy(), axis=0)) == len(keys)


def test_words_that_nearly_cancel_give_other_numbers() -> None:
    """Before the first multiplication a flip of the top bits could be made up for by the second word."""
    a, b = torch.tensor([123456789]), torch.tensor([987654321])
    for flip in (1 << 31, 0x80008000, 0x80010000):
        for add in (1 << 31, 1 << 16, 1 << 15):
            twin = by_tensors(a ^ flip, (b + add) & 0xFFFFFFFF, TABLE)
            assert (twin == by_tensors(a, b, TABLE)).float().mean() < 0.01


@settings(max_examples=50)
@given(st.integers(1, 2**20), st.integers(0, 2**24 - 1))
def test_integers_are_exact_floors(size: int, numerator: int) -> None:
    number = torch.tensor([numerator / 2**24], dtype=torch.float32)
    assert integers(number, size).item() == size * numerator // 2**24 < size


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_cpus_bits() -> None:
    keys = torch.cat([random_keys(300), ~torch.arange(300)])
    assert torch.equal(uniforms(keys.cuda(), TABLE.cuda()).cpu(), uniforms(keys, TABLE))
