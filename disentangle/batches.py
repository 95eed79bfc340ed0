"""What a run draws: which images each step shows, and its noise. Made ahead, for many steps at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from disentangle import find
from disentangle.data import draw_factors
from disentangle.draws import Stream
from disentangle.pairs import assemble, draw
from disentangle.run import Run

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Batches:
    """The draws of a run, each step's from the seed and the step's number alone.

    Args:
        run: the run.
        sizes: the data set's factor sizes.

    >>> batches = Batches(Run(method="vae", dataset="toy", batch=4), (3, 8, 8))
    >>> index, noise = batches.span(10, 12)
    >>> index.shape, noise.shape
    ((2, 1, 4), (2, 1, 4, 10))
    """

    def __init__(self, run: Run, sizes: Sequence[int]) -> None:
        self.run, self.sizes = run, tuple(sizes)
        self.settings = run.settings()
        self.halves = 2 if find.get("method", run.method).pairs else 1
        self._stream = Stream(run.seed)
        self._strides = np.array([math.prod(self.sizes[i + 1 :]) for i in range(len(self.sizes))])

    def factors(self, start: int, stop: int) -> NDArray[np.int64]:
        """The factors of the images of steps ``start..stop-1``: ``(steps, 1 or 2, batch, F)``."""
        run, steps = self.run, range(start, stop)
        generators = (self._stream.at("batch", step) for step in steps)
        shape = (len(steps), run.batch, len(self.sizes))
        if self.halves == 1:
            drawn = [draw_factors(self.sizes, run.batch, rng) for rng in generators]
            return np.stack(drawn)[:, None] if drawn else np.empty((0, 1, *shape[1:]), np.int64)
        k, rule = self.settings.k, self.settings.pairs
        several = [draw(self.sizes, run.batch, k, rule, rng) for rng in generators]
        if not several:
            return np.empty((0, 2, *shape[1:]), np.int64)
        first, counts, keys, other = (np.concatenate(part) for part in zip(*several, strict=True))
        pairs = assemble(self.sizes, (first, counts, keys, other), rule)
        return np.stack([pairs.first.reshape(shape), pairs.second.reshape(shape)], axis=1)

    def span(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The indices ``(steps, 1 or 2, batch)`` and the noise ``(steps, 1 or 2, batch, latents)``."""
        index = self.factors(start, stop) @ self._strides
        noise = np.empty((stop - start, self.halves, self.run.batch, self.run.latents), np.float32)
        for place, step in zip(noise, range(start, stop), strict=True):
            self._stream.at("noise", step).standard_normal(out=place, dtype=np.float32)
        return index, noise
