"""Image stores: a gathered batch is what a plain loop over the images gives."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.data import FactorData
from disentangle.errors import InputError
from disentangle.images import ImageStore, PackedBits, Parts, Pixels, _shifted_bits

seeds = st.integers(0, 2**32 - 1)


def check(store: ImageStore, expected: np.ndarray, rng: np.random.Generator) -> None:
    """``expected`` is (N, C, H, W) in [0, 1]."""
    index = torch.from_numpy(rng.integers(0, len(expected), 7))
    batch = store.gather(index)
    assert len(store) == len(expected)
    assert batch.dtype == torch.float32
    assert tuple(batch.shape) == (7, *store.shape) == (7, *expected.shape[1:])
    np.testing.assert_allclose(batch.numpy(), expected[index.numpy()], rtol=0, atol=1e-7)
    layout = torch.channels_last if store.shape[0] > 1 else torch.contiguous_format
    assert batch.is_contiguous(memory_format=layout)
    assert torch.equal(store.to("cpu").gather(index), batch)
    assert tuple(store.gather(index[:0]).shape) == (0, *store.shape)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_pixels_are_a_plain_look_up(seed: int, n: int, h: int, w: int, c: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 256, (n, h, w, c), np.uint8)
    check(Pixels(array), np.moveaxis(array, 3, 1) / 255, rng)
    check(Pixels(array[..., 0].copy()), array[:, None, :, :, 0] / 255, rng)


def test_pixels_of_zeros_and_ones() -> None:
    array = np.eye(4, dtype=np.uint8).reshape(2, 2, 4)
    check(Pixels(array, scale=1), array[:, None].astype(float), np.random.default_rng(0))


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(1, 6), st.integers(1, 3))
def test_packed_bits_are_a_plain_look_up(seed: int, n: int, h: int, bytes_per_row: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 2, (n, h, 8 * bytes_per_row), np.uint8)
    packed = np.packbits(array.reshape(n, -1), axis=1, bitorder="little")
    check(PackedBits(packed, array.shape[1:]), array[:, None].astype(float), rng)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_bits_by_shifts_are_numpys(seed: int) -> None:
    packed = np.random.default_rng(seed).integers(0, 256, (3, 5), np.uint8)
    expected = np.unpackbits(packed, axis=1, bitorder="little").reshape(3, 5, 8)
    assert np.array_equal(_shifted_bits(torch.from_numpy(packed)).numpy(), expected)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))
def test_parts_are_sums_of_maps(seed: int, g: int, p: int, c: int, t: int, h: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.integers(-500, 8000, (g, 5, h, 2), np.int16)
    palettes = rng.integers(0, 5, (p, c, t))
    images = np.zeros((p * g, c, h, 2))
    for i in range(p * g):
        for channel in range(c):
            total = sum(maps[i % g, part].astype(int) for part in palettes[i // g, channel])
            images[i, channel] = np.clip(np.floor(total / 64 + 0.5), 0, 255)
    check(Parts(maps, palettes), images / 255, rng)


def test_a_read_only_map_is_shared_silently(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(32, dtype=np.uint8).reshape(4, 8))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = PackedBits(mapped, (8, 8))
        store.gather(torch.tensor([0, 3]))
    assert store._packed.data_ptr() == mapped.ctypes.data  # no copy
    assert store.nbytes == 32


def test_gather_leaves_the_images_alone() -> None:
    array = np.full((2, 3, 3, 3), 200, np.uint8)
    store = Pixels(array)
    store.gather(torch.tensor([0])).zero_()
    assert store.gather(torch.tensor([0])).min() > 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Pixels(np.zeros((2, 4, 4, 3), np.float32)), "float32"),
        (lambda: Pixels(np.zeros((2, 4), np.uint8)), r"\(2, 4\)"),
        (lambda: PackedBits(np.zeros((2, 3), np.uint8), (4, 8)), "3 bytes an image; 4x8 pixels take 4"),
        (lambda: Parts(np.zeros((1, 1, 2, 2), np.int32), np.zeros((1, 1, 1), int)), "int16"),
        (lambda: Parts(np.zeros((1, 1, 2, 2), np.int16), np.zeros((1, 1), int)), "palettes"),
    ],
)
def test_a_wrong_array_is_named(make: Callable[[], ImageStore], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_cpus_images(dsprites: FactorData, shapes3d: FactorData) -> None:
    for data in (dsprites, shapes3d):
        index = torch.arange(0, len(data), 5003)
        on_device = data.store.to("cuda").gather(index.cuda()).cpu()
        torch.testing.assert_close(on_device, data.store.gather(index), rtol=0, atol=1e-6)
