"""Draws a background for scream_dsprites, for those who have no picture of the painting.

A picture of our own in the painting's spirit and of its size: bands of orange sky, a dark blue fjord, a
bridge that runs into the corner, and a pale figure. It is made by +, -, *, / and square roots alone, which
IEEE arithmetic rounds in one way: so it is the same, to the bit, on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The reference fits its picture into 350 x 274 pixels; the painting, 73.5 x 91 cm, is then 221 x 274.
HEIGHT, WIDTH = 274, 221
SHORE = 0.42  # where the sky ends, from the top
Floats = NDArray[np.float64]

SKY = ((196, 62, 24), (240, 132, 34), (250, 190, 70), (222, 92, 30), (244, 164, 84), (206, 120, 88))
WATER = ((22, 30, 66), (40, 62, 112), (28, 44, 60), (96, 112, 120), (18, 24, 48), (70, 84, 60))
WOOD = ((122, 70, 38), (92, 48, 30), (156, 104, 60), (70, 40, 34), (138, 82, 50))
RAIL, SKIN, COAT = (108, 34, 24), (206, 190, 132), (34, 30, 40)


def wave(x: Floats) -> Floats:
    """A smooth wave of period 1 between 0 and 1, near to a sine but of sums and products alone."""
    triangle: Floats = np.abs(2 * (x - np.floor(x)) - 1)
    return triangle * triangle * (3 - 2 * triangle)


def bands(phase: Floats, colours: tuple[tuple[int, int, int], ...]) -> Floats:
    """The colours one after the other, ``(H, W, 3)``, each fading into the next as the phase rises by 1."""
    table: Floats = np.array(colours, float)
    whole = np.floor(phase)
    part: Floats = wave((phase - whole + 1) / 2)[..., None]
    first = whole.astype(int) % len(table)
    colour: Floats = table[first] * (1 - part) + table[(first + 1) % len(table)] * part
    return colour


def cover(below: Floats, above: Floats | tuple[int, int, int], inside: Floats) -> Floats:
    """``above`` laid over ``below`` where ``inside`` is positive, with a soft edge from -0.01 to 0.01."""
    share = np.clip(inside * 50 + 0.5, 0, 1)[..., None]
    return below * (1 - share) + np.asarray(above, float) * share


def ellipse(x: Floats, y: Floats, centre: tuple[float, float], half: tuple[float, float]) -> Floats:
    """Positive inside, about the distance from the rim."""
    u, v = (x - centre[0]) / half[0], (y - centre[1]) / half[1]
    return np.asarray((1 - np.sqrt(u * u + v * v)) * min(half))


def draw() -> NDArray[np.uint8]:
    """The picture, uint8 ``(274, 221, 3)``."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / float(HEIGHT)  # x up to 0.8
    brush = 0.16 * wave(11 * x + 5 * y + wave(7 * y)) + 0.10 * wave(31 * y - 17 * x)
    sky = 15 * y + 1.5 * wave(1.3 * x + 0.2) + 0.9 * wave(2.9 * x - 2 * y) + brush
    picture = bands(sky, SKY)

    swirl = np.sqrt((x - 0.62) * (x - 0.62) + 1.7 * (y - 0.36) * (y - 0.36))
    shore = y - SHORE - 0.05 * (wave(1.6 * x) - 0.5) - 0.12 * (x - 0.55) * (x - 0.55)
    picture = cover(picture, bands(24 * swirl + 1.2 * wave(2.3 * x) + 2 * brush, WATER), shore)
    hill = ellipse(x, y, (0.80, 0.50), (0.26, 0.16)) - 0.02 * wave(5 * x)
    picture = cover(picture, bands(22 * swirl + 3 * brush + 0.4, WATER[2:]), hill)

    deck = y - 0.50 - 0.62 * x  # the bridge lies below a line from the left edge to the lower right corner
    planks = 9.1 * (x + 0.12) / np.maximum(y - 0.36, 0.1)  # they run together beyond the left edge
    picture = cover(picture, bands(planks + 2 * brush, WOOD), deck)
    for distance, thickness in ((0.0, 0.016), (-0.055, 0.012), (-0.115, 0.014)):
        picture = cover(picture, RAIL, thickness - np.abs(deck - distance + 0.01 * wave(3 * x)))

    picture = cover(picture, COAT, ellipse(x, y, (0.43, 0.96), (0.13, 0.26)) - 0.01 * wave(6 * y))
    picture = cover(picture, SKIN, ellipse(x, y, (0.43, 0.66), (0.060, 0.085)))
    for centre, half in (((0.41, 0.645), (0.012, 0.016)), ((0.45, 0.645), (0.012, 0.016))):
        picture = cover(picture, COAT, ellipse(x, y, centre, half))
    picture = cover(picture, COAT, ellipse(x, y, (0.43, 0.70), (0.013, 0.024)))
    return np.clip(np.floor(picture + 0.5), 0, 255).astype(np.uint8)
