"""Draws 3DShapes: the maps from which `disentangle.images.Parts` composes all 480,000 images.

The official images are an aliased 192x192 render shrunk to 64x64 by a Lanczos filter; so are these.
A hue's channels take only the levels 0, 51, ..., 255, and the filter is linear: so per geometry (scale,
shape, orientation) floor, walls and object are rendered once per level, and an image is a sum of maps.
The scene was fitted to frames in figures of the official repository: near (39 dB), not exact.
"""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from disentangle.datasets._scene_shapes3d import ORIENTATIONS, RENDER_SIDE, SIDE
from disentangle.datasets._shade_shapes3d import Shades, empty_room, shades
from disentangle.images import Parts

HUES = 10
SCALES = tuple(0.75 + 0.5 * i / 7 for i in range(8))
SHAPES = 4
SIZES = (HUES, HUES, HUES, len(SCALES), SHAPES, ORIENTATIONS)
SKY_COLOUR = (153, 226, 249)
LEVELS = (0, 51, 102, 153, 204, 255)  # what a channel of a pure hue can be
MAPS = 3 * len(LEVELS) + len(SKY_COLOUR)  # of one geometry: floor, walls and object by level, sky by channel

TAPS = 3  # Lanczos-3
# Weights are multiples of this, so that sums of whole levels are exact in floating point and the maps
# do not depend on the order in which a machine's matrix product adds.
WEIGHT_UNIT = 2.0**-15


def lanczos() -> NDArray[np.float32]:
    """The filter that shrinks a line of 192 pixels to 64, ``(64, 192)``; rows sum to 1 exactly."""
    step = RENDER_SIDE / SIDE
    offset = (np.arange(RENDER_SIDE) + 0.5) / step - (np.arange(SIDE)[:, None] + 0.5)
    window = np.where(np.abs(offset) < TAPS, np.sinc(offset) * np.sinc(offset / TAPS), 0.0)
    weights = np.round(window / window.sum(axis=1, keepdims=True) / WEIGHT_UNIT) * WEIGHT_UNIT
    weights[np.arange(SIDE), weights.argmax(axis=1)] += 1 - weights.sum(axis=1)
    return np.asarray(weights, np.float32)


def render(scene: Shades) -> NDArray[np.float32]:
    """Floor, walls and object at each level, and the sky's mask: whole levels, ``(19, 192, 192)``."""
    layers = np.empty((MAPS - 2, RENDER_SIDE, RENDER_SIDE), np.float32)
    floor, walls, thing = (layers[i * len(LEVELS) :][: len(LEVELS)] for i in range(3))
    for i, level in enumerate(LEVELS):
        shaded = np.round(np.clip(level * scene.shade + scene.highlight, 0, 255))
        floor[i], walls[i], thing[i] = shaded * scene.floor, shaded * scene.walls, shaded * scene.object
    layers[-1] = scene.sky
    return layers


def shrink(layers: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.int16]:
    """The maps ``(21, 64, 64)`` of one geometry, in units of 1/64 level."""
    narrow = np.matmul(layers, weights.T)  # exact in float32: 8 bits times 15
    small = np.matmul(weights.astype(np.float64), narrow)  # exact in float64
    sky = small[-1] * np.array(SKY_COLOUR)[:, None, None]
    return np.round(np.concatenate([small[:-1], sky]) * Parts.UNIT).astype(np.int16)


def draw() -> NDArray[np.int16]:
    """The maps of all 480 geometries, ``(480, 21, 64, 64)``, row-major over scale, shape, orientation."""
    maps = np.empty((len(SCALES), SHAPES, ORIENTATIONS, MAPS, SIDE, SIDE), np.int16)
    weights = lanczos()
    for orientation in range(ORIENTATIONS):
        room = empty_room(orientation)
        for i, scale in enumerate(SCALES):
            for shape in range(SHAPES):
                maps[i, shape, orientation] = shrink(render(shades(room, shape, scale)), weights)
    return maps.reshape(-1, MAPS, SIDE, SIDE)


def palettes() -> NDArray[np.int64]:
    """Which four maps make each channel, ``(1000, 3, 4)``, row-major over floor, wall and object hue."""
    hues = np.array([colorsys.hsv_to_rgb(hue / HUES, 1, 1) for hue in range(HUES)])
    level = np.round(hues * (len(LEVELS) - 1)).astype(np.int64)  # (10, 3): the index in LEVELS
    table = np.empty((HUES, HUES, HUES, len(SKY_COLOUR), 4), np.int64)
    table[..., 0] = level[:, None, None]
    table[..., 1] = len(LEVELS) + level[None, :, None]
    table[..., 2] = 2 * len(LEVELS) + level[None, None, :]
    table[..., 3] = 3 * len(LEVELS) + np.arange(len(SKY_COLOUR))
    return table.reshape(-1, len(SKY_COLOUR), 4)
