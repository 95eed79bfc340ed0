"""The 3DShapes scene: camera, room and objects, and where a ray meets them.

World: the object stands at the origin on the floor z = 0; x right, y into the room, z up. Lengths are
in the units of the fit. Arrays of points and directions are ``(3, ...)``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

RENDER_SIDE = 192  # pixels of the render, before it is shrunk
SIDE = 64  # pixels of an image

ORIENTATIONS = 15
SWING = 60.0  # degrees from the first orientation to the last
FOCAL_LENGTH = 71.2823  # in pixels of an image SIDE wide
CAMERA_DISTANCE = 3.0
CAMERA_HEIGHT = 0.8713
CAMERA_PITCH = 0.001  # radians downwards

BACK_WALL_Y = 4.1658
SIDE_WALL_X = 4.064  # left wall at minus this, right wall at plus
WALL_HEIGHT = 2.3017

# The objects at scale 1.
CUBE_HALF_SIDE = 0.4054
CYLINDER_RADIUS, CYLINDER_HALF_HEIGHT = 0.4317, 0.4343
SPHERE_RADIUS = 0.4904
CAPSULE_RADIUS, CAPSULE_HALF_LENGTH = 0.3731, 0.3781  # the length of the straight part
CUBE, CYLINDER, SPHERE, CAPSULE = range(4)  # in the order of the factor ``shape``
# Height of each shape's centre above the floor.
MIDDLE = (CUBE_HALF_SIDE, CYLINDER_HALF_HEIGHT, SPHERE_RADIUS, CAPSULE_RADIUS + CAPSULE_HALF_LENGTH)

SKY, FLOOR, BACK, LEFT, RIGHT = range(5)  # what a ray meets in the empty room

NEAREST = 1e-6  # a hit nearer than this is the ray's own start


class Camera(NamedTuple):
    """Where the camera is, where it looks, and the ray of every pixel, ``(3, 192, 192)``."""

    origin: Floats
    forward: Floats
    rays: Floats


class Hit(NamedTuple):
    """Where rays meet a thing: distance along the ray (inf where they miss) and unit normals ``(3, ...)``."""

    distance: Floats
    normal: Floats


def camera(orientation: int) -> Camera:
    """The camera of one orientation, on a circle around the object, looking at the axis."""
    middle = (ORIENTATIONS - 1) / 2
    angle = math.radians((orientation - middle) * SWING / (ORIENTATIONS - 1))
    sin, cos = math.sin(angle), math.cos(angle)
    sin_pitch, cos_pitch = math.sin(CAMERA_PITCH), math.cos(CAMERA_PITCH)
    right = np.array([cos, sin, 0.0])
    forward = np.array([-sin * cos_pitch, cos * cos_pitch, -sin_pitch])
    up = np.array([-sin * sin_pitch, cos * sin_pitch, cos_pitch])
    pixel = ((np.arange(RENDER_SIDE) + 0.5) / RENDER_SIDE - 0.5) * SIDE / FOCAL_LENGTH
    across, down = pixel[None, None, :], pixel[None, :, None]
    rays = forward[:, None, None] + across * right[:, None, None] - down * up[:, None, None]
    origin = np.array([CAMERA_DISTANCE * sin, -CAMERA_DISTANCE * cos, CAMERA_HEIGHT])
    return Camera(origin[:, None, None], forward, rays)


def room(view: Camera) -> tuple[NDArray[np.intp], Floats, Floats]:
    """What each ray meets in the empty room: the surface, the distance and the normal ``(3, 192, 192)``."""
    (x, y, z), (dx, dy, dz) = view.origin, view.rays
    with np.errstate(divide="ignore"):
        back = np.where(dy > 0, (BACK_WALL_Y - y) / dy, np.inf)
        right = np.where(dx > 0, (SIDE_WALL_X - x) / dx, np.inf)
        left = np.where(dx < 0, (-SIDE_WALL_X - x) / dx, np.inf)
        floor = np.where(dz < 0, -z / dz, np.inf)
    wall = np.minimum(back, np.minimum(left, right))
    which = np.select([wall == back, wall == left], [BACK, LEFT], RIGHT)
    which = np.where(z + wall * dz <= WALL_HEIGHT, which, SKY)
    surface = np.where(floor < wall, FLOOR, which)
    normals = np.array([[0, 0, 0], [0, 0, 1], [0, -1, 0], [1, 0, 0], [-1, 0, 0]], dtype=float)  # by surface
    return surface, np.minimum(floor, wall), np.moveaxis(normals[surface], -1, 0)


def meet(shape: int, scale: float, origin: Floats, rays: Floats) -> Hit:
    """Where rays from ``origin`` first meet the object; ``origin`` must broadcast against ``rays``."""
    if shape == CUBE:
        return _meet_cube(CUBE_HALF_SIDE * scale, origin, rays)
    if shape == CYLINDER:
        return _meet_cylinder(CYLINDER_RADIUS * scale, 2 * CYLINDER_HALF_HEIGHT * scale, origin, rays)
    if shape == SPHERE:  # a capsule without a straight part
        return _meet_capsule(SPHERE_RADIUS * scale, 0.0, origin, rays)
    return _meet_capsule(CAPSULE_RADIUS * scale, 2 * CAPSULE_HALF_LENGTH * scale, origin, rays)


def _first_root(a: Floats, half_b: Floats, c: Floats) -> Floats:
    """The smaller root of a t^2 + 2 half_b t + c where it is real and ahead of the start, else inf."""
    discriminant = half_b * half_b - a * c
    with np.errstate(divide="ignore", invalid="ignore"):
        root = (-half_b - np.sqrt(np.maximum(discriminant, 0))) / a
    return np.where((discriminant > 0) & (root > NEAREST), root, np.inf)


def _points(origin: Floats, rays: Floats, distance: Floats) -> Floats:
    """The points at a distance along the rays; the start itself where the distance is infinite."""
    return origin + np.where(np.isfinite(distance), distance, 0.0) * rays


def _height(origin: Floats, rays: Floats, distance: Floats) -> Floats:
    return np.asarray(_points(origin[2], rays[2], distance))


def _meet_round(radius: float, origin: Floats, rays: Floats) -> Floats:
    """Distance to an endless upright cylinder about the axis."""
    (x, y, _), (dx, dy, _) = origin, rays
    return _first_root(dx * dx + dy * dy, x * dx + y * dy, x * x + y * y - radius * radius)


def _meet_sphere(radius: float, centre: float, origin: Floats, rays: Floats) -> Floats:
    """Distance to a sphere about the point of the axis at height ``centre``."""
    (x, y, z), (dx, dy, dz) = origin, rays
    z = z - centre
    half_b = x * dx + y * dy + z * dz
    return _first_root(dx * dx + dy * dy + dz * dz, half_b, x * x + y * y + z * z - radius * radius)


def _meet_cube(half: float, origin: Floats, rays: Floats) -> Hit:
    """A ray is inside the cube while it is between all three pairs of planes."""
    low, high = np.array([-half, -half, 0.0]), np.array([half, half, 2 * half])
    extra = (1,) * (rays.ndim - 1)
    low, high = low.reshape(3, *extra), high.reshape(3, *extra)
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (low - origin) / rays, (high - origin) / rays
    enter, leave = np.minimum(one, other), np.maximum(one, other)
    axis = enter.argmax(axis=0)
    distance = enter.max(axis=0)
    distance = np.where((distance < leave.min(axis=0)) & (distance > NEAREST), distance, np.inf)
    faces = axis[None] == np.arange(3).reshape(3, *extra)
    return Hit(distance, np.where(faces, -np.sign(rays), 0.0))


def _meet_cylinder(radius: float, height: float, origin: Floats, rays: Floats) -> Hit:
    side = _meet_round(radius, origin, rays)
    z = _height(origin, rays, side)
    side = np.where((z >= 0) & (z <= height), side, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        top = (height - origin[2]) / rays[2]
    x, y, _ = _points(origin, rays, top)
    on_top = (top > NEAREST) & (x * x + y * y <= radius * radius) & (origin[2] > height)
    top = np.where(on_top, top, np.inf)
    distance = np.minimum(side, top)
    x, y, z = _points(origin, rays, distance)
    upwards = top < side
    around = ~upwards / radius
    return Hit(distance, np.array([x * around, y * around, upwards]))


def _meet_capsule(radius: float, length: float, origin: Floats, rays: Floats) -> Hit:
    """A cylinder of the given length between two half spheres; a sphere where the length is 0."""
    distance = _meet_sphere(radius, radius, origin, rays)
    if length > 0:
        side = _meet_round(radius, origin, rays)
        upper = _meet_sphere(radius, radius + length, origin, rays)
        z = _height(origin, rays, side)
        side = np.where((z >= radius) & (z <= radius + length), side, np.inf)
        upper = np.where(_height(origin, rays, upper) >= radius + length, upper, np.inf)
        distance = np.where(_height(origin, rays, distance) <= radius, distance, np.inf)
        distance = np.minimum(distance, np.minimum(side, upper))
    x, y, z = _points(origin, rays, distance)
    centre = np.clip(z, radius, radius + length)
    return Hit(distance, np.array([x, y, z - centre]) / radius)
