"""Calibration representations: what a metric gives on codes whose quality is known.

They stand in every table, scored as the models are, so that a reader sees the ends of each scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import msgspec
import numpy as np

from disentangle.build import build_model
from disentangle.draws import generator
from disentangle.encode import encode
from disentangle.run import FORMAT, Run, digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from disentangle.data import FactorData

Name = Literal["true_factors", "rotated_factors", "untrained", "noise"]
NAMES: tuple[str, ...] = get_args(Name)
ABOUT = {
    "true_factors": "the factors themselves, one per code: the best there is",
    "rotated_factors": "the standardised factors under a random rotation: all information, none of it apart",
    "untrained": "the encoder with its initial weights",
    "noise": "standard normal numbers that know nothing of the image",
}


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One calibration representation; the counterpart of a `Run`."""

    name: Name
    dataset: str
    source: str
    seed: int = 0
    latents: int = 10

    def key(self) -> str:
        """A hash of everything above, 16 hexadecimal digits."""
        return digest({"format": FORMAT, "calibration": msgspec.to_builtins(self)})

    def label(self) -> str:
        """The name, for people."""
        return self.name.replace("_", " ")

    def codes(self, data: FactorData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The codes of the images ``rows``: ``(N, F)`` from factors, ``(N, latents)`` otherwise."""
        rng = generator(self.seed, "calibration", part=NAMES.index(self.name))
        if self.name == "noise":
            noise = rng.standard_normal((len(rows), self.latents), dtype=np.float32)
            return np.asarray(noise)
        if self.name == "untrained":
            run = Run(method="vae", dataset=self.dataset, seed=self.seed, steps=0, latents=self.latents)
            return encode(run, build_model(run, data).to(data.device), data, rows)
        factors, sizes = data.factors(rows), np.array(data.sizes)
        if self.name == "true_factors":
            return np.asarray(factors / np.maximum(sizes - 1, 1), np.float32)
        spread = np.sqrt((sizes**2 - 1) / 12)  # of the uniform distribution over 0..size-1
        standard = (factors - (sizes - 1) / 2) / np.where(spread > 0, spread, 1)
        return np.asarray(standard @ random_rotation(len(sizes), rng), np.float32)


def random_rotation(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A uniformly random orthogonal matrix ``(n, n)``.

    >>> q = random_rotation(4, np.random.default_rng(0))
    >>> bool(np.allclose(q @ q.T, np.eye(4)))
    True
    """
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return np.asarray(q * np.sign(np.diag(r)))
