"""How bright each pixel of the 3DShapes scene is: lamp, camera light, shadow, texture and highlight.

All numbers were fitted to frames in figures of the official repository.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle.datasets import _scene_shapes3d as scene
from disentangle.datasets._scene_shapes3d import Floats, Mask

# Shade = (AMBIENT + HEADLIGHT * cosine to the camera + lamp) * surface * texture.
AMBIENT, HEADLIGHT = 0.353, 0.598
LAMP = np.array([-1.7598, 0.6735, 8.7855])
LAMP_POWER, LAMP_FOCUS = 0.9886, 9.5894  # a spot lamp: falls with the cosine to its axis to LAMP_FOCUS
LAMP_AXIS = np.array([0.0072, 0.0142, 1.0])
SURFACE = np.array([0.0, 0.9743, 0.9822, 0.9758, 0.9758])  # sky, floor, back, left, right; the object has 1
SHADOW_LIFT = 1e-4  # shadow rays start this high above the floor

HIGHLIGHT = 0.1255 * 255  # added in all channels where the object is lit
HIGHLIGHT_LAMP = np.array([-1.829, 1.144, 8.7855])
AZIMUTHS, ELEVATION_STEP = 28, np.pi / 16  # the vertices of the original's meshes

# Three cosine and sine waves per surface, at 60 degrees to each other, with these coefficients.
FLOOR_WAVE, WALL_WAVE = 0.286, 0.27  # wave lengths times 2 / sqrt 3
WAVES = {
    scene.FLOOR: (0.0054, 0.0015, 0.0042, 0.0037, 0.0064, 0.0005),
    scene.BACK: (0.0024, 0.0016, -0.0026, 0.0052, -0.0004, 0.0058),
    scene.LEFT: (0.0016, 0.0032, -0.0044, 0.0043, 0.0041, 0.0049),
    scene.RIGHT: (0.0019, 0.0018, -0.0036, 0.0048, 0.0035, 0.0048),
}
# One dark oval per wall tile.
TILE, BLOTCH_HEIGHT, BLOTCH_TILT, BLOTCH_DEPTH, BLOTCH_EDGE = 2.32, 1.1543, -0.933, 0.0562, 6.0
BLOTCH_AXES = (0.4881, 0.1974)
BLOTCH_START = {scene.BACK: 2.5216, scene.LEFT: 0.26, scene.RIGHT: 0.12}


class Room(NamedTuple):
    """The empty room seen from one orientation: rays, surfaces and shades with and without the lamp."""

    view: scene.Camera
    surface: NDArray[np.intp]
    distance: Floats
    floor_points: Floats  # (3, F)
    lit: Floats
    unlit: Floats


def lamplight(points: Floats, normal: Floats) -> Floats:
    """What the lamp adds at points ``(3, ...)``."""
    to_lamp = LAMP.reshape(3, *(1,) * (points.ndim - 1)) - points
    length = np.sqrt((to_lamp * to_lamp).sum(axis=0))
    incidence = np.maximum((normal * to_lamp).sum(axis=0) / length, 0)
    along_axis = np.tensordot(LAMP_AXIS, to_lamp, 1) / (length * np.linalg.norm(LAMP_AXIS))
    return np.asarray(LAMP_POWER * incidence * np.clip(along_axis, 0, 1) ** LAMP_FOCUS)


def headlight(normal: Floats, forward: Floats) -> Floats:
    """Ambient light, and the light that comes from the camera."""
    return np.asarray(AMBIENT + HEADLIGHT * np.maximum(0, -np.tensordot(forward, normal, 1)))


def texture(surface: int, points: Floats) -> Floats:
    """A factor near 1 for points ``(3, M)`` of the floor or a wall."""
    x, y, z = points
    if surface == scene.FLOOR:
        return 1 + _waves(x, y, FLOOR_WAVE, np.pi / 6, WAVES[surface])
    along = x if surface == scene.BACK else y
    return 1 + _waves(along, z, WALL_WAVE, 0.0, WAVES[surface]) - _blotch(surface, along, z)


def _waves(u: Floats, v: Floats, spacing: float, turn: float, coefficients: tuple[float, ...]) -> Floats:
    total = np.zeros_like(u)
    for i in range(3):
        angle = turn + i * np.pi / 3
        phase = 4 * np.pi / (np.sqrt(3) * spacing) * (np.cos(angle) * u + np.sin(angle) * v)
        total += coefficients[2 * i] * np.cos(phase) + coefficients[2 * i + 1] * np.sin(phase)
    return total


def _blotch(wall: int, along: Floats, height: Floats) -> Floats:
    if wall == scene.RIGHT:  # the tiles run round the room in one sense
        along = -along
    u = (along - BLOTCH_START[wall] + TILE / 2) % TILE - TILE / 2
    v = height - BLOTCH_HEIGHT
    cos, sin = np.cos(BLOTCH_TILT), np.sin(BLOTCH_TILT)
    radius = np.hypot((cos * u + sin * v) / BLOTCH_AXES[0], (cos * v - sin * u) / BLOTCH_AXES[1])
    return np.asarray(BLOTCH_DEPTH / (1 + np.exp(BLOTCH_EDGE * (radius - 1))))


def empty_room(orientation: int) -> Room:
    """The room without the object; its shades are shared by all objects."""
    view = scene.camera(orientation)
    surface, distance, normal = scene.room(view)
    points = view.origin + distance * view.rays
    factor = SURFACE[surface]
    for which in WAVES:
        there = surface == which
        factor[there] *= texture(which, points[:, there])
    unlit = headlight(normal, view.forward)
    lit = unlit + lamplight(points, normal)
    return Room(view, surface, distance, points[:, surface == scene.FLOOR], lit * factor, unlit * factor)


class Shades(NamedTuple):
    """One geometry at render size: what is where, how bright, and the highlight, each ``(192, 192)``."""

    sky: Mask
    floor: Mask
    walls: Mask
    object: Mask
    shade: Floats
    highlight: Floats


def shades(room: Room, shape: int, scale: float) -> Shades:
    """The room with an object in it."""
    shade = room.lit.copy()
    floor = room.surface == scene.FLOOR
    shade[floor] = np.where(in_shadow(room.floor_points, shape, scale), room.unlit[floor], room.lit[floor])
    hit = scene.meet(shape, scale, room.view.origin, room.view.rays)
    seen = hit.distance < room.distance
    normal = hit.normal[:, seen]
    points = room.view.origin[:, 0] + hit.distance[seen] * room.view.rays[:, seen]
    shade[seen] = headlight(normal, room.view.forward) + lamplight(points, normal)
    glint = np.zeros_like(shade)
    glint[seen] = HIGHLIGHT * highlight(shape, scale, normal)
    sky = room.surface == scene.SKY
    return Shades(sky & ~seen, floor & ~seen, ~(floor | sky | seen), seen, shade, glint)


def in_shadow(floor_points: Floats, shape: int, scale: float) -> Mask:
    """Whether the object stands between the lamp and each point ``(3, F)`` of the floor."""
    start = floor_points * np.array([[1.0], [1.0], [0.0]])
    lift = np.array([[0.0], [0.0], [SHADOW_LIFT]])
    # A ray as long as the way to the lamp: the object is in between if the distance is below 1.
    return np.asarray(scene.meet(shape, scale, start + lift, LAMP[:, None] - start).distance < 1)


def highlight(shape: int, scale: float, normal: Floats) -> Floats:
    """How far the highlight lamp lights the object at normals ``(3, M)``, 0 to 1.

    The original decides lit or not at the vertices of a mesh and interpolates in between.
    """
    to_lamp = HIGHLIGHT_LAMP - np.array([0.0, 0.0, scene.MIDDLE[shape] * scale])
    x, y, z = normal
    if shape == scene.CUBE:
        return np.asarray(np.tensordot(to_lamp, normal, 1) > 0, dtype=float)
    azimuth = np.arctan2(y, x) / (2 * math.pi / AZIMUTHS)
    if shape == scene.CYLINDER:
        return np.where(z > 0.5, 1.0, _between_azimuths(azimuth, np.zeros_like(azimuth), to_lamp))
    elevation = np.arcsin(np.clip(z, -1, 1)) / ELEVATION_STEP
    below = np.floor(elevation)
    share = elevation - below
    low, high = (_between_azimuths(azimuth, step * ELEVATION_STEP, to_lamp) for step in (below, below + 1))
    return np.asarray((1 - share) * low + share * high)


def _between_azimuths(azimuth: Floats, elevation: Floats, to_lamp: Floats) -> Floats:
    """Lit (1) or not (0) at the mesh vertices on both sides, interpolated; azimuths in mesh steps."""
    before = np.floor(azimuth)
    share = azimuth - before
    cos, rise = np.cos(elevation), np.sin(elevation) * to_lamp[2]

    def lit(step: Floats) -> Mask:
        angle = step * (2 * math.pi / AZIMUTHS)
        return np.asarray(cos * (np.cos(angle) * to_lamp[0] + np.sin(angle) * to_lamp[1]) + rise > 0)

    return np.asarray((1 - share) * lit(before) + share * lit(before + 1))
