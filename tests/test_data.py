"""FactorData: index arithmetic and images, and that drawing data set by data set keeps the interface."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from disentangle import FactorData, InputError, find
from disentangle.data import draw_factors
from disentangle.images import Pixels


def grid(sizes):
    n = int(np.prod(sizes))
    images = np.arange(n, dtype=np.uint32).astype("<u4").view(np.uint8).reshape(n, 2, 2)
    names = tuple(f"f{i}" for i in range(len(sizes)))
    return FactorData("grid", names, tuple(np.arange(s) / s for s in sizes), Pixels(images, 255), "user", "")


@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.data())
def test_indices_and_factors_are_inverse(sizes, draw):
    data = grid(sizes)
    index = np.array(draw.draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=20)))
    factors = data.factors(index)
    assert np.array_equal(data.index(factors), index)
    strides = np.append(np.cumprod(sizes[:0:-1])[::-1], 1)
    assert np.array_equal(factors @ strides, index)


def test_the_last_factor_changes_fastest():
    data = grid((2, 3, 4))
    assert data.factors([0, 1, 4, 12]).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert np.array_equal(data.all_factors(), data.factors(np.arange(24)))


def test_images_follow_the_index():
    data = grid((2, 3, 4))
    images = data.images(np.array([5, 0, 5]))
    assert images.dtype == torch.float32
    assert images.shape == (3, 1, 2, 2)
    assert torch.equal(images[0], images[2])
    assert images[0, 0, 0, 0].item() == pytest.approx(5 / 255)
    assert torch.equal(data.images(torch.tensor([5])), images[:1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.images([24]), "index 24 is outside 0..23"),
        (lambda d: d.images([-1]), "index -1 is outside 0..23"),
        (lambda d: d.images([0.5]), "indices must be integers, got float64"),
        (lambda d: d.index([[0, 3, 0]]), "factor 'f1' must be in 0..2, got 3"),
        (lambda d: d.index([[0, 0]]), r"of shape \(..., 3\), got int64 \(1, 2\)"),
        (lambda d: d.index([[0.0, 0.0, 0.0]]), "must be integers"),
        (lambda d: FactorData("x", ("a",), (), d.store, "user", ""), "1 factor names for 0 lists"),
        (lambda d: FactorData("x", ("a",), (np.arange(5),), d.store, "user", ""), "has 5 images, got 24"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(grid((2, 3, 4)))


def test_drawn_factors_are_uniform():
    factors = draw_factors((2, 5), 50_000, np.random.default_rng(0))
    assert np.allclose(np.bincount(factors[:, 1]) / 50_000, 0.2, atol=0.01)


def test_toy_is_what_it_says():
    data = find.get("dataset", "toy").load()
    assert len(data) == 192
    image = data.images(data.index([[1, 2, 6]]))[0, 0]
    rows, columns = image.nonzero(as_tuple=True)
    assert len(rows) == 13**2
    assert (columns.min() + columns.max()).item() / 2 == data.factor_values[1][2]
    assert (rows.min() + rows.max()).item() / 2 == data.factor_values[2][6]
    with pytest.raises(InputError, match="toy has no official file"):
        find.get("dataset", "toy").load("official")


def test_to_the_same_device_is_the_same_data():
    data = grid((2, 3))
    assert data.to("cpu") is data
