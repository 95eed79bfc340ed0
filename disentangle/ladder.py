"""The calibration ladder: representations of which everything is known, to read the metrics' scales by.

A rung is made from the factors alone, on the full grid of dSprites' factor sizes; no image and no
model is involved. The cases are those that Carbonneau et al. 2022 constructed for the same purpose.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle.calibrate import random_rotation
from disentangle.draws import generator

Floats = NDArray[np.float64]
Factors = NDArray[np.int64]
Codes = NDArray[np.float32]
Build = Callable[[Factors, Floats, np.random.Generator], Any]

SIZES = (3, 6, 40, 32, 32)  # dSprites: shape, scale, orientation, position x and y
SHAPE, SCALE, ORIENTATION, X, Y = range(5)
VALUES = 10  # of each factor in the cases, as in their paper
WIDTH = 10  # codes of the rungs that are not made factor by factor: what the studies trained


@dataclass(frozen=True)
class Rung:
    """A representation by construction.

    Attributes:
        name: its key in tables.
        about: one line, what is known of it.
        build: ``(factors (N, F), sizes (F,), rng) -> codes (N, D)``.
        sizes: of the factors; the table is their full grid, row-major.
        copies: how often the grid is repeated, for codes that differ from row to row.
        case: of a published case, the ``dataset`` of its rows in the file of published numbers.
    """

    name: str
    about: str
    build: Build
    sizes: tuple[int, ...] = SIZES
    copies: int = 1
    case: str = ""

    def factors(self) -> Factors:
        """The table's factors ``(N, F)``.

        >>> Rung("pair", "", _identity, sizes=(2, 2)).factors().tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
        """
        grid = np.indices(self.sizes).reshape(len(self.sizes), -1).T
        return np.tile(grid, (self.copies, 1)).astype(np.int64)

    def codes(self, factors: Factors, seed: int = 0, instance: int = 0) -> Codes:
        """The codes ``(N, D)`` of `factors`.

        Args:
            factors: as `factors` gives them.
            seed: of noise, rotation and mixture.
            instance: another one of the same kind: other noise, rotation or mixture, and where it is not
                0 another order and other signs of the codes, as of a model trained from another seed.
        """
        rng = generator(seed, "calibration", step=instance, part=zlib.crc32(self.name.encode()))
        codes = np.asarray(self.build(factors, np.array(self.sizes, float), rng))
        if instance:
            codes = codes[:, rng.permutation(codes.shape[1])] * rng.choice([-1.0, 1.0], codes.shape[1])
        return np.ascontiguousarray(codes, dtype=np.float32)


def _identity(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
    return 2 * factors / (sizes - 1) - 1


def _noisy(deviation: float) -> Build:
    def build(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
        return _identity(factors, sizes, rng) + deviation * rng.standard_normal(factors.shape)

    return build


def _dead(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
    return np.hstack([_identity(factors, sizes, rng), _constant(factors, sizes, rng)[:, :5]])


def _duplicated(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
    return np.repeat(_identity(factors, sizes, rng), 2, axis=1)


def _merged(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
    both = factors[:, SHAPE] * sizes[SCALE] + factors[:, SCALE]
    code = 2 * both / (sizes[SHAPE] * sizes[SCALE] - 1) - 1
    return np.column_stack([code, _identity(factors, sizes, rng)[:, SCALE + 1 :]])


def _missing(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
    return np.delete(_identity(factors, sizes, rng), ORIENTATION, axis=1)


def _rotated_pair(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
    codes = _identity(factors, sizes, rng)
    codes[:, [X, Y]] = codes[:, [X, Y]] @ np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    return codes


def _standard(factors: Factors, sizes: Floats) -> Floats:
    """Mean 0 and standard deviation 1 over the grid."""
    return (factors - (sizes - 1) / 2) / np.sqrt((sizes**2 - 1) / 12)


def _rotated(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
    return _standard(factors, sizes) @ random_rotation(len(sizes), rng)


def _entangled(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
    spread = rng.standard_normal((len(sizes), WIDTH)) / np.sqrt(len(sizes))
    mixed = np.tanh(2 * _standard(factors, sizes) @ spread) @ random_rotation(WIDTH, rng)
    return np.asarray(np.tanh(2 * mixed))


def _random(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Any:
    return rng.standard_normal((len(factors), WIDTH), dtype=np.float32)


def _constant(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
    return np.tile(np.linspace(-1, 1, WIDTH), (len(factors), 1))


RUNGS = (
    Rung("identity", "each factor in one code, scaled to [-1, 1]: the best there is", _identity),
    Rung("noisy 0.1", "identity and normal noise of sd 0.1: neighbouring values overlap", _noisy(0.1)),
    Rung("noisy 0.5", "identity and normal noise of sd 0.5: coarse values are left", _noisy(0.5)),
    Rung("dead", "identity and five constant codes", _dead),
    Rung("duplicated", "each factor in two equal codes: modular, not compact", _duplicated),
    Rung("merged", "shape and scale share one code, which tells both; the others alone", _merged),
    Rung("missing", "identity without the code of orientation", _missing),
    Rung("rotated pair", "positions x and y mixed by 45 degrees; the others alone", _rotated_pair),
    Rung("rotated", "all factors under a random rotation: all known, none apart", _rotated),
    Rung("entangled", "ten codes, a random mixture through tanh twice: all known", _entangled),
    Rung("random", "ten codes of normal noise that know nothing", _random),
    Rung("constant", "ten constant codes", _constant),
)


_ROWS = 100_000  # of a case where each row has angles of its own


def _case(
    name: str, about: str, factors: int, coded: Callable[[Floats], Floats], dataset: str
) -> tuple[Rung, Rung]:
    """A case as the paper's text has it, on the grid, and as its code has it, continuous in equal bins."""
    sizes = (VALUES,) * factors

    def on_grid(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
        return coded(2 * np.pi * factors / sizes)

    def binned(factors: Factors, sizes: Floats, rng: np.random.Generator) -> Floats:
        return coded(2 * np.pi * (factors + rng.random(factors.shape)) / sizes)

    copies = _ROWS // VALUES**factors
    continuous = f"{about}; continuous, in {VALUES} bins"
    return (
        Rung(name, f"{about}; {VALUES} values each", on_grid, sizes, case=dataset),
        Rung(f"{name}, binned", continuous, binned, sizes, copies, dataset),
    )


def _cos_sin(angles: Floats) -> Floats:
    return np.hstack([np.cos(angles), np.sin(angles)])


def _twice(angles: Floats) -> Floats:
    return np.repeat(angles, 2, axis=1)


def _four_times(angles: Floats) -> Floats:
    return np.repeat(angles, 4, axis=1)


CASES = (
    *_case(
        "cos sin", "four angles, each as cosine and sine", 4, _cos_sin, "synthetic: 4 angles -> [cos,sin]"
    ),
    *_case("twice", "four angles, each in two equal codes", 4, _twice, "synthetic: 4 factors -> [t,t]"),
    *_case(
        "four times",
        "two angles, each in four equal codes",
        2,
        _four_times,
        "synthetic: 2 factors -> [t,t,t,t]",
    ),
)
