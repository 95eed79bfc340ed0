"""Drawn dSprites against the totals and frames of the official set, and the reading of official files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from disentangle.data import FactorData
from disentangle.errors import DataError, InputError
from disentangle.find import get

FRAMES = Path(__file__).parents[2] / "shared" / "render" / "official_frames.npz"
CONTENT = "sha256:faaf9cf5fa6256819224cb831e7fe802f7e166a63fda58f12c5f1c6eec3f5ea0"


def packed(data: FactorData) -> np.ndarray:
    return data.store._packed.numpy()  # type: ignore[attr-defined]


def test_form(dsprites: FactorData) -> None:
    assert dsprites.sizes == (3, 6, 40, 32, 32)
    assert dsprites.factor_names == ("shape", "scale", "orientation", "x", "y")
    assert (dsprites.source, dsprites.image_shape) == ("drawn", (1, 64, 64))
    assert dsprites.checksum == CONTENT
    assert "Not DeepMind's" in dsprites.note
    assert dsprites.factor_values[1].tolist() == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert dsprites.factor_values[2][[0, 39]].tolist() == pytest.approx([0, 2 * np.pi])


def test_white_pixels(dsprites: FactorData) -> None:
    counts = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)
    per_shape = [int(counts[part].sum(dtype=np.int64)) for part in np.split(packed(dsprites), 3)]
    assert per_shape == [53_612_886, 42_070_950, 32_645_028]  # the official total is 2 less: 128,328,862


def test_distinct_images(dsprites: FactorData) -> None:
    """By a 64-bit hash of each image: a sum of its words times odd random numbers."""
    factors = np.random.default_rng(0).integers(0, 2**63, 64, np.uint64) * np.uint64(2) + np.uint64(1)
    words = packed(dsprites).view(np.uint64)
    hashes = np.zeros(len(words), np.uint64)
    for column, factor in zip(words.T, factors, strict=True):
        hashes += (column ^ (column >> np.uint64(29))) * factor
    assert len(np.unique(hashes)) == 715_706


def test_the_last_orientation_is_the_first(dsprites: FactorData) -> None:
    images = packed(dsprites).reshape(*dsprites.sizes, -1)
    assert np.array_equal(images[:, :, 39], images[:, :, 0])


@pytest.mark.skipif(not FRAMES.exists(), reason="the official frames are not here")
@pytest.mark.parametrize(("kind", "count"), [("gif", 320), ("nb", 43)])
def test_official_frames_are_exact(dsprites: FactorData, kind: str, count: int) -> None:
    frames = np.load(FRAMES, allow_pickle=False)
    index = dsprites.index(frames[f"dsprites_{kind}_factors"])
    drawn = dsprites.images(index)[:, 0].numpy()
    assert len(drawn) == count
    assert np.array_equal(drawn, frames[f"dsprites_{kind}"])


@pytest.mark.parametrize(
    ("factors", "sha256"),
    [
        ((0, 0, 0, 0, 0), "ff85428fd96c1c34"),
        ((1, 3, 7, 10, 20), "b18f7a2212fc0dcb"),
        ((2, 5, 31, 16, 31), "b1fe22411ab6c522"),
    ],
)
def test_chosen_images(dsprites: FactorData, factors: tuple[int, ...], sha256: str) -> None:
    image = dsprites.images([int(dsprites.index(factors))]).to(torch.uint8).numpy()
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == sha256


def test_x_runs_to_the_right_and_y_down(dsprites: FactorData) -> None:
    first, right, down = dsprites.images(
        dsprites.index([(0, 2, 0, 0, 0), (0, 2, 0, 31, 0), (0, 2, 0, 0, 31)])
    )
    rows, columns = np.nonzero(first[0].numpy())
    for image, moved_rows, moved_columns in ((right, 0, 32), (down, 32, 0)):
        found = np.nonzero(image[0].numpy())
        assert np.array_equal(found, (rows + moved_rows, columns + moved_columns))


def test_sources(dsprites: FactorData, tmp_path: Path) -> None:
    load = get("dataset", "dsprites").load
    assert load("auto").checksum == dsprites.checksum  # no official file here
    with pytest.raises(DataError, match=r"npz was not found.*--download.*https://.*by hand and put it at"):
        load("official")
    with pytest.raises(DataError, match="found no file there"):
        load("auto", tmp_path / "missing.npz")
    with pytest.raises(InputError, match="did you mean 'drawn'"):
        load("dawn")
