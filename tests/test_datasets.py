"""What holds for every data set: a row-major grid of 64x64 images, the same each time, with its source.

Sets that cannot be drawn are loaded with the reading of their files replaced: each image is a window, moved
on by a byte, into a line of random bytes, so that all of them are there and none takes memory. Their files
are read in tests of their own.
"""

import importlib
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from disentangle import DataError, InputError, find
from disentangle.draws import generator

from . import _official_files as official

DRAWN = ("color_dsprites", "dsprites", "noisy_dsprites", "scream_dsprites", "shapes3d", "toy")
NAMES = find.names("dataset")
# The file that each looks for in a folder; a set without an entry fails.
DSPRITES = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
FILES = {
    "cars3d": "nips2015-analogy-data.tar.gz",
    "color_dsprites": DSPRITES,
    "dsprites": DSPRITES,
    "mpi3d_complex": "real3d_complicated_shapes_ordered.npz",
    "mpi3d_real": "mpi3d_real.npz",
    "mpi3d_realistic": "mpi3d_realistic.npz",
    "mpi3d_toy": "mpi3d_toy.npz",
    "noisy_dsprites": DSPRITES,
    "scream_dsprites": "scream.jpg",
    "shapes3d": "3dshapes.h5",
    "smallnorb": "smallnorb-5x46789x9x18x6x2x96x96-training-dat.mat",
    "toy": None,
}


def windows(shape):
    """Images ``(N, H, W[, 3])`` of random bytes that overlap in memory."""
    line = np.random.default_rng(0).integers(0, 256, shape[0] + np.prod(shape[1:]), np.uint8)
    inner = [int(np.prod(shape[i + 1 :])) for i in range(1, len(shape))]
    return np.lib.stride_tricks.as_strided(line, shape, (1, *inner), writeable=False)


def module(name):
    return importlib.import_module(f"disentangle.datasets.{name}")


def play(patch, name):
    """Let a set that cannot be drawn find its official files, full of windows."""
    if name == "smallnorb":
        reader = module("_read_smallnorb")
        patch.setattr(reader, "find", lambda path, how: {"a": reader.Path("a.mat")})
        patch.setattr(reader, "read", lambda files: (windows((48_600, 64, 64)), "0", {}))
    elif name == "cars3d":
        reader = module("_read_cars3d")
        patch.setattr(reader, "find", lambda path, how: reader.Path("a.tar.gz"))
        found = windows((17_568, 64, 64, 3)), "0", reader.OFFICIAL.md5
        patch.setattr(reader, "read", lambda place: found)
    else:
        reader, shared = module("_read_mpi3d"), module("_mpi3d")

        def read(path, expected):
            sizes = expected.layouts[0]
            return reader.Found(windows((int(np.prod(sizes)), 64, 64, 3)), sizes, "0", known=True)

        patch.setattr(reader, "read", read)
        patch.setattr(shared, "find_file", lambda names, path: reader.Path("a.npz"))


@pytest.fixture(scope="module", params=NAMES)
def loaded(request):
    """A function that loads the set, anew each time."""
    name = request.param
    with pytest.MonkeyPatch.context() as patch:
        if name not in DRAWN:
            play(patch, name)
        load = find.get("dataset", name).load
        yield lambda: load("drawn" if name in DRAWN else "official")


@pytest.fixture(scope="module")
def data(loaded):
    return loaded()


def some(data, n=200):
    return generator(0, "batch").integers(0, len(data), n)


def test_it_is_labelled(data):
    described = find.get("dataset", data.name)
    assert data.source == ("drawn" if data.name in DRAWN else "official")
    assert data.checksum.startswith("sha256:" if data.name in DRAWN else ("sha256:", "md5:"))
    assert data.note or data.name not in DRAWN
    assert data.name in NAMES
    assert described.title
    assert described.paper


def test_both_index_maps_agree(data):
    assert data.grid == np.prod(data.sizes)
    assert len(data.factor_names) == len(data.sizes) == len(data.factor_values)
    assert len(set(data.factor_names)) == len(data.sizes)
    index = some(data)
    factors = data.factors(index)
    assert factors.min(0).tolist() == [0] * len(data.sizes)
    assert (factors.max(0) < data.sizes).all()
    assert np.array_equal(data.factors(data.index(factors)), factors)
    assert data.factors([0, len(data) - 1]).tolist() == [[0] * len(data.sizes), [s - 1 for s in data.sizes]]
    if data.cells is None:
        assert len(data) == data.grid
        assert np.array_equal(data.index(factors), index)
    else:  # the first image of the cell
        assert (data.index(factors) <= index).all()
        assert np.array_equal(np.unique(data.cells), np.arange(data.grid))


def test_images_are_floats_in_the_unit_range_and_differ(data):
    images = data.images(some(data))
    assert images.dtype == torch.float32
    assert images.shape == (200, *data.image_shape)
    assert data.image_shape[0] in (1, 3)
    assert data.image_shape[1:] == (64, 64)
    assert images.min() >= 0
    assert 0.9 < images.max() <= 1
    assert len(torch.unique(images, dim=0)) > 100


def test_every_factor_shows_in_the_images(data):
    base = np.array([size // 2 for size in data.sizes])
    same = torch.zeros(2, dtype=torch.int64)  # so that a random part is no difference
    for column, size in enumerate(data.sizes):
        factors = np.tile(base, (2, 1))
        factors[:, column] = [0, size // 2]
        first, second = data.images(torch.from_numpy(data.index(factors)), same)
        assert not torch.equal(first, second), data.factor_names[column]


def test_it_is_the_same_in_any_order_and_whenever_it_is_loaded(data, loaded):
    index = some(data, 20)
    images = data.images(index)
    assert torch.equal(images.flip(0), data.images(index[::-1].copy()))
    assert torch.equal(images[3:4], data.images(index[3:4]))
    again = loaded()
    assert torch.equal(images, again.images(index))
    assert again.checksum == data.checksum


def test_a_random_part_depends_on_the_key_and_others_have_none(data):
    index, keys = torch.from_numpy(some(data, 20)), torch.arange(20)
    images = data.images(index, keys)
    assert torch.equal(images, data.images(index, keys))
    assert torch.equal(images, data.images(index, keys + 1)) != data.random
    assert torch.equal(images, data.images(index)) != data.random


def test_a_batch_is_a_copy_and_the_store_as_large_as_it_says(data):
    index = some(data, 5)
    images = data.images(index)
    kept = images.clone()
    images.fill_(0.5)
    assert torch.equal(data.images(index), kept)
    assert 0 < data.store.nbytes <= len(data) * np.prod(data.image_shape) + 10_000_000
    assert kept.nbytes == 5 * 4 * np.prod(data.image_shape)


@pytest.mark.parametrize("rule", ["paper", "dlib"])
def test_pairs_come_from_the_grid(data, rule):
    pairs = data.pairs(50, "rnd", rule, 0)
    assert data.images(data.index(pairs.second)).shape[0] == 50
    assert (pairs.changed <= pairs.redrawn).all()
    assert (pairs.redrawn.sum(1) >= 1).all()
    assert rule == "dlib" or (pairs.changed == pairs.redrawn).all()
    again = data.pairs(50, "rnd", rule, 0)
    assert np.array_equal(again.first, pairs.first)
    assert np.array_equal(again.second, pairs.second)


def test_bad_indices_and_sources_are_refused(data):
    for bad in ([-1], [len(data)], [0.5]):
        with pytest.raises(InputError, match=data.name):
            data.images(bad)
    with pytest.raises(InputError, match=f"{data.name}: factor '{data.factor_names[0]}' must be in 0.."):
        data.index([data.sizes])
    with pytest.raises(InputError):
        find.get("dataset", data.name).load("internet")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_such_file_is_told_with_its_place(name, tmp_path, monkeypatch):
    load, file = find.get("dataset", name).load, FILES[name]
    if file is None:
        with pytest.raises(DataError, match=f"{name} has no official file"):
            load("official")
        return
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=str(tmp_path / "nowhere")):
        load("official", tmp_path / "nowhere")
    (tmp_path / file).write_bytes(b"something else" * 1000)
    with pytest.raises(DataError, match=str(tmp_path)):
        load("user" if name == "scream_dsprites" else "official", tmp_path)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DRAWN])
@pytest.mark.parametrize("source", ["auto", "official", "user"])
def test_a_missing_file_is_told_with_where_to_get_and_put_it(name, source, tmp_path, monkeypatch):
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"https?://.*{tmp_path}"):
        find.get("dataset", name).load(source)
    with pytest.raises(DataError, match=f"{name} cannot be drawn"):
        find.get("dataset", name).load("drawn")


def small_smallnorb(patch, folder):
    """SmallNORB's files, and what factors its images show; the instance is the last."""
    reader, sizes = module("_read_smallnorb"), (2, 4, 3, 2, 2)
    official.write_matrices(folder, official.coded_smallnorb(sizes, 96, reader.STEMS))
    patch.setattr(reader, "read", partial(reader.read, expected=reader.Expected(sizes, 96)))
    patch.setattr(module("smallnorb"), "VALUES", tuple(np.arange(sizes[i]) for i in (0, 2, 3, 4)))
    instances = np.tile(np.arange(sizes[1]), 2 * 3 * 2 * 2)
    return lambda images: official.banded_factors(255 * images[:, 0]), instances


def small_cars3d(patch, folder):
    reader, sizes = module("_read_cars3d"), (2, 3, 5)
    cars = list(official.car_files(official.coded_cars(sizes, 128)))
    official.write_archive(folder / reader.ARCHIVE, cars[::-1])
    patch.setattr(reader, "read", partial(reader.read, expected=reader.Expected(sizes, 128, md5="")))
    patch.setattr(module("cars3d"), "VALUES", tuple(map(np.arange, sizes)))
    return lambda images: np.rint(255 * images[:, :, 30, 30] / official.CODE), None


def small_mpi3d(patch, folder, name):
    dataset, sizes = module(name), (2, 3, 2, 1, 2, 3, 2)
    expected = module("_read_mpi3d").Expected((sizes,), side=8)
    patch.setattr(dataset, "VARIANT", replace(dataset.VARIANT, expected=expected))
    np.savez(folder / dataset.VARIANT.files[0], images=official.coded_mpi3d(sizes, 8))
    return lambda images: np.rint(255 * images[:, 0, 0, : len(sizes)] / official.CODE), None


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DRAWN])
def test_images_show_the_factors_that_they_are_said_to_have(name, tmp_path, monkeypatch):
    """Of files of the official form, but small, whose pixels say of which factors they are."""
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path / "data"))
    if name.startswith("mpi3d"):
        shown, instances = small_mpi3d(monkeypatch, tmp_path, name)
    else:
        shown, instances = globals()[f"small_{name}"](monkeypatch, tmp_path)
    data = find.get("dataset", name).load("user", tmp_path)
    found = shown(data.images(np.arange(len(data))).numpy())
    if instances is not None:
        assert np.array_equal(found[:, -1], instances)
        found = found[:, :-1]
    assert np.array_equal(found, data.all_factors())
    assert len(np.unique(found, axis=0)) == data.grid > 20
