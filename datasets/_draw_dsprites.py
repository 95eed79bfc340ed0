"""Draws dSprites: all 737,280 images, bit-packed.

The official images were drawn with LÖVE: polygons filled without anti-aliasing. The polygons here
were fitted to the frames in figures of the official repository; every frame known agrees pixel for
pixel. Coordinates: x right, y down, in pixels, pixel centres at +.5.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIDE = 64  # pixels; a row is one 64-bit word
SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ORIENTATIONS = 40
TURN = 39  # orientation steps in a full turn: the last orientation equals the first
POSITIONS = 32
SIZES = (3, len(SCALES), ORIENTATIONS, POSITIONS, POSITIONS)

FIRST_CENTRE, CENTRE_RANGE = 16.0, 32.0  # the centres keep a quarter of the image from every edge
HALF_SIDE = 9.6  # of the square at scale 1; the other shapes are measured in it too
ELLIPSE_STRETCH = 1.33  # semi-axes HALF_SIDE times and over this
ELLIPSE_VERTICES = 100
HEART_VERTICES = 150
HEART_WIDTH = HALF_SIDE
HEART_HEIGHT = 19.2 / 29  # one side of the square over the extent of the heart curve
HEART_LIFT = 1.44
GRAIN = 256  # vertex coordinates are whole multiples of 1/256 pixel

# A pixel centre on an edge belongs to the shape on the left and at the bottom edges only.
TIE_X, TIE_Y = -1e-6, 1e-9

# MASKS[n] has the first n pixels of a row set.
MASKS = np.array([(1 << n) - 1 for n in range(SIDE + 1)], dtype="<u8")


class Outline(NamedTuple):
    """A closed polygon at scale 1, orientation 0, about its centre."""

    u: Floats
    v: Floats


def outlines() -> tuple[Outline, Outline, Outline]:
    """Square, ellipse and heart, in the order of the factor ``shape``."""
    corners = HALF_SIDE * np.array([[-1.0, 1.0, 1.0, -1.0], [-1.0, -1.0, 1.0, 1.0]])
    t = 2 * np.pi * np.arange(ELLIPSE_VERTICES) / ELLIPSE_VERTICES
    ellipse = Outline(HALF_SIDE * ELLIPSE_STRETCH * np.cos(t), HALF_SIDE / ELLIPSE_STRETCH * np.sin(t))
    t = 2 * np.pi * np.arange(HEART_VERTICES) / HEART_VERTICES
    curve = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    heart = Outline(HEART_WIDTH * np.sin(t) ** 3, -HEART_HEIGHT * curve - HEART_LIFT)
    return Outline(corners[0], corners[1]), ellipse, heart


def vertices(outline: Outline, scale: float, orientation: int) -> tuple[Floats, Floats]:
    """Vertex coordinates ``x (32, V)`` at every x position and ``y (32, V)`` at every y position."""
    angle = 2 * math.pi * orientation / TURN
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    centres = FIRST_CENTRE + CENTRE_RANGE * np.arange(POSITIONS)[:, None] / (POSITIONS - 1)
    x = centres + (cos * outline.u + sin * outline.v)
    y = centres + (-sin * outline.u + cos * outline.v)
    return np.round(x * GRAIN) / GRAIN + TIE_X, np.round(y * GRAIN) / GRAIN + TIE_Y


def fill(x: Floats, y: Floats) -> NDArray[np.uint64]:
    """The polygons filled (even-odd, at pixel centres): ``(32 x positions, 32 y positions, 64 rows)`` words.

    A row's word is the XOR, over the edges that its centre line crosses, of the pixels left of the crossing.
    """
    top = np.floor(y.min(axis=1))  # each y position's first row
    rows = np.arange(int(np.ceil((y.max(axis=1) - top).max())) + 1)
    lines = top[:, None] + rows + 0.5  # (32, R) centre lines of the rows the shape may touch
    below = y[:, None, :] > lines[:, :, None]
    position, row, end = np.nonzero(below != np.roll(below, 1, axis=2))  # edge (end - 1, end) crosses
    line, start = lines[position, row], end - 1
    along = (line - y[position, end]) / (y[position, start] - y[position, end])
    crossings = x[:, end] + (x[:, start] - x[:, end]) * along  # (32 x positions, crossings)
    left = MASKS[np.ceil(crossings - 0.5).astype(np.intp)]
    line_number = position * len(rows) + row
    first = np.flatnonzero(np.diff(line_number, prepend=-1))
    words = np.zeros((POSITIONS, POSITIONS, SIDE), dtype="<u8")
    into = np.floor(line[first]).astype(np.intp)
    words[:, position[first], into] = np.bitwise_xor.reduceat(left, first, axis=1)
    return words


def draw() -> NDArray[np.uint8]:
    """All images, uint8 ``(737280, 512)``: row-major over the factors, eight pixels a byte.

    The first of eight pixels is the lowest bit, as in ``numpy.packbits(..., bitorder="little")``.
    """
    images = np.zeros((*SIZES, SIDE), dtype="<u8")
    for shape, outline in enumerate(outlines()):
        for size, scale in enumerate(SCALES):
            for orientation in range(TURN):
                images[shape, size, orientation] = fill(*vertices(outline, scale, orientation))
            images[shape, size, TURN] = images[shape, size, 0]
    return images.view(np.uint8).reshape(-1, SIDE * SIDE // 8)
