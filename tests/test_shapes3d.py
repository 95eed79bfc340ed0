"""Drawn 3DShapes against the frames and means of the official set."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from disentangle.data import FactorData
from disentangle.datasets import _draw_shapes3d as drawing
from disentangle.datasets import _scene_shapes3d as scene
from disentangle.datasets import _shade_shapes3d as shading
from disentangle.errors import DataError, InputError
from disentangle.find import get

FRAMES = Path(__file__).parents[2] / "shared" / "render" / "official_frames.npz"
OFFICIAL_MEANS = (0.502585, 0.578760, 0.603450)


def pixels(data: FactorData, factors: np.ndarray) -> np.ndarray:
    """Whole levels, (B, H, W, C)."""
    levels = data.images(np.atleast_1d(data.index(factors))) * 255
    assert (levels - levels.round()).abs().max() < 1e-3
    return levels.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def test_form(shapes3d: FactorData) -> None:
    assert shapes3d.sizes == drawing.SIZES == (10, 10, 10, 8, 4, 15)
    assert shapes3d.factor_names == ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
    assert (shapes3d.source, shapes3d.image_shape) == ("drawn", (3, 64, 64))
    assert shapes3d.checksum.startswith("sha256:")
    assert "approximate" in shapes3d.note
    assert "Not DeepMind's" in shapes3d.note
    assert shapes3d.factor_values[3][[0, 7]].tolist() == [0.75, 1.25]
    assert shapes3d.factor_values[5][[0, 7, 14]].tolist() == [-30, 0, 30]


@pytest.mark.skipif(not FRAMES.exists(), reason="the official frames are not here")
def test_official_frames_are_near(shapes3d: FactorData) -> None:
    frames = np.load(FRAMES, allow_pickle=False)
    official = frames["shapes3d_nb"].astype(float)
    difference = pixels(shapes3d, frames["shapes3d_nb_factors"]) - official
    psnr = 10 * np.log10(255**2 / (difference**2).mean(axis=(1, 2, 3)))
    assert len(psnr) == 50
    assert psnr.min() >= 34
    assert psnr.mean() >= 39


def test_means_are_near_the_official_ones(shapes3d: FactorData) -> None:
    """Of every 41st image: an offset that meets all geometries and all hues."""
    batches = torch.arange(0, len(shapes3d), 41).split(256)
    total = sum(shapes3d.images(batch).double().sum((0, 2, 3)) for batch in batches)
    means = total / (64 * 64 * sum(map(len, batches)))
    assert np.abs(means.numpy() - OFFICIAL_MEANS).max() < 0.001


@pytest.mark.parametrize(
    ("factors", "sha256"),
    [
        ((0, 0, 0, 0, 0, 0), "41de10a325521617"),
        ((3, 7, 1, 7, 1, 7), "bcdcb77b78ce629a"),
        ((9, 2, 5, 3, 2, 14), "0e39a55a1d579ef8"),
        ((4, 4, 4, 5, 3, 3), "7e8476be37d94f69"),
    ],
)
def test_chosen_images(shapes3d: FactorData, factors: tuple[int, ...], sha256: str) -> None:
    image = pixels(shapes3d, np.array(factors))
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == sha256


def test_a_hue_colours_its_own_part_only(shapes3d: FactorData) -> None:
    base = np.array([0, 3, 6, 4, 2, 7])
    image = pixels(shapes3d, base)[0].astype(int)
    changed = []
    for factor in range(3):
        other = base.copy()
        other[factor] = (other[factor] + 5) % 10
        changed.append((np.abs(pixels(shapes3d, other)[0] - image) > 60).any(axis=2))
    floor, wall, thing = changed
    assert floor[60, 5]
    assert wall[26, 5]
    assert thing[40, 32]
    assert not (floor & thing).any() or (floor & thing).sum() < 200  # only where the filter mixes them
    assert not (wall | thing)[60, 5]


def test_composition_is_the_direct_render(shapes3d: FactorData) -> None:
    """One image rendered in its colours and shrunk as a whole, against its sum of maps."""
    floor, wall, thing, scale, shape, orientation = 2, 8, 5, 6, 1, 11
    picture = shading.shades(shading.empty_room(orientation), shape, drawing.SCALES[scale])
    levels = drawing.LEVELS
    table = drawing.palettes().reshape(10, 10, 10, 3, 4)[floor, wall, thing]
    direct = np.empty((64, 64, 3))
    for channel in range(3):
        of_floor, of_wall, of_thing = (levels[part % 6] for part in table[channel, :3])
        base = of_floor * picture.floor + of_wall * picture.walls + of_thing * picture.object
        full = np.round(np.clip(base * picture.shade + picture.highlight, 0, 255))
        full[picture.sky] = drawing.SKY_COLOUR[channel]
        direct[..., channel] = drawing.lanczos().astype(float) @ full @ drawing.lanczos().T
    composed = pixels(shapes3d, np.array([floor, wall, thing, scale, shape, orientation]))[0]
    assert np.abs(composed - np.clip(direct, 0, 255)).max() < 0.55  # half a level of rounding


def test_lanczos_keeps_a_flat_picture_flat() -> None:
    weights = drawing.lanczos()
    assert weights.shape == (64, 192)
    assert (weights.sum(axis=1) == 1).all()
    assert np.allclose(weights, weights[::-1, ::-1], atol=2**-14)


@pytest.mark.parametrize("shape", range(4))
def test_hits_lie_on_the_object(shape: int) -> None:
    """Each point hit is outside the object a little before and inside a little behind."""
    view, scale = scene.camera(4), 1.1
    hit = scene.meet(shape, scale, view.origin, view.rays)
    seen = np.isfinite(hit.distance)
    assert 1000 < seen.sum() < 10_000
    points = view.origin[:, 0] + hit.distance[seen] * view.rays[:, seen]
    normal = hit.normal[:, seen]
    assert np.allclose((normal**2).sum(axis=0), 1)
    assert ((normal * view.rays[:, seen]).sum(axis=0) < 0).all()  # it faces the camera
    assert points[2].min() > -1e-9
    assert points[2].max() <= 2 * scene.MIDDLE[shape] * scale + 1e-9
    inside = scene.meet(shape, scale, points + 1e-4 * normal, -normal)
    assert np.allclose(inside.distance, 1e-4, atol=1e-6)


def test_sources(tmp_path: Path) -> None:
    load = get("dataset", "shapes3d").load
    with pytest.raises(DataError, match=r"h5 was not found.*--download.*https://.*by hand and put it at"):
        load("official")
    with pytest.raises(DataError, match="found no file there"):
        load("auto", tmp_path)
    with pytest.raises(InputError, match="unknown source"):
        load("")
