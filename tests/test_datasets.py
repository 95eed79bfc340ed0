"""What holds for every data set: a row-major grid of 64x64 images, the same each time, with its source."""

import numpy as np
import pytest
import torch

from disentangle import InputError, find
from disentangle.draws import generator


@pytest.fixture(scope="module", params=find.names("dataset"))
def drawn(request):
    return find.get("dataset", request.param).load("drawn")


def some(data, n=200):
    return generator(0, "batch").integers(0, len(data), n)


def test_it_is_labelled(drawn):
    assert drawn.source == "drawn"
    assert drawn.checksum.startswith("sha256:")
    assert drawn.note
    assert drawn.name in find.names("dataset")


def test_the_grid_is_full_and_both_index_maps_agree(drawn):
    assert len(drawn) == np.prod(drawn.sizes)
    assert len(drawn.factor_names) == len(drawn.sizes) == len(drawn.factor_values)
    assert len(set(drawn.factor_names)) == len(drawn.sizes)
    assert np.array_equal(drawn.index(drawn.factors(some(drawn))), some(drawn))
    assert drawn.factors([len(drawn) - 1]).tolist() == [[size - 1 for size in drawn.sizes]]


def test_images_are_floats_in_the_unit_range_and_differ(drawn):
    images = drawn.images(some(drawn))
    assert images.dtype == torch.float32
    assert images.shape == (200, *drawn.image_shape)
    assert drawn.image_shape[1:] == (64, 64)
    assert images.min() >= 0
    assert 0.9 < images.max() <= 1
    assert len(torch.unique(images, dim=0)) > 100


def test_every_factor_shows_in_the_images(drawn):
    base = np.array([size // 2 for size in drawn.sizes])
    for column, size in enumerate(drawn.sizes):
        factors = np.tile(base, (2, 1))
        factors[:, column] = [0, size // 2]
        first, second = drawn.images(drawn.index(factors))
        assert not torch.equal(first, second), drawn.factor_names[column]


def test_the_order_of_a_batch_does_not_matter(drawn):
    index = some(drawn, 20)
    assert torch.equal(drawn.images(index).flip(0), drawn.images(index[::-1].copy()))
    again = find.get("dataset", drawn.name).load("drawn")
    assert torch.equal(drawn.images(index), again.images(index))
    assert again.checksum == drawn.checksum


def test_pairs_come_from_the_grid(drawn):
    pairs = drawn.pairs(50, "rnd", "paper", 0)
    assert drawn.images(drawn.index(pairs.second)).shape[0] == 50
    assert (pairs.changed.sum(1) >= 1).all()


def test_bad_indices_and_sources_are_refused(drawn):
    for bad in ([-1], [len(drawn)], [0.5]):
        with pytest.raises(InputError, match=drawn.name):
            drawn.images(bad)
    with pytest.raises(InputError):
        find.get("dataset", drawn.name).load("internet")
