"""What a run draws: which images each step shows, and its noise. Made ahead, for many steps at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle import find
from disentangle.data import draw_factors
from disentangle.draws import Stream
from disentangle.pairs import Pairs, assemble, draw
from disentangle.run import Run
from disentangle.sampling import Sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from disentangle.data import FactorData

Span = dict[str, "NDArray[Any]"]


class Batches:
    """The draws of a run, each step's from the seed and the step's number alone.

    Args:
        run: the run.
        data: the images, with the run's split.
        sampler: of these images, if there is one already.

    >>> from disentangle.find import get
    >>> batches = Batches(Run(method="vae", dataset="toy", batch=4), get("dataset", "toy").load())
    >>> {name: drawn.shape for name, drawn in batches.span(10, 12).items()}
    {'index': (2, 1, 4), 'noise': (2, 1, 4, 10)}
    """

    def __init__(self, run: Run, data: FactorData, sampler: Sampler | None = None) -> None:
        self.run, self.data, self.sizes = run, data, data.sizes
        self.settings, self.method = run.settings(), find.get("method", run.method)
        self.halves = 2 if self.method.pairs else 1
        self._sampler = sampler or Sampler(data)
        self._stream = Stream(run.seed)

    def span(self, start: int, stop: int) -> Span:
        """What steps ``start..stop-1`` draw, each array with the axes ``(steps, 1 or 2, batch, ...)``.

        ``index`` of the images, ``noise (..., latents)``; where the images have a random part, ``keys``;
        and where the method needs them, ``label`` and ``shuffle (..., latents)``, once for both images.
        """
        steps = range(start, stop)
        index, label = self._shown(steps)
        shape = (len(steps), self.halves, self.run.batch)
        found: Span = {"index": index, "noise": np.empty((*shape, self.run.latents), np.float32)}
        for place, rng in zip(found["noise"], self._each("noise", steps), strict=True):
            rng.standard_normal(out=place, dtype=np.float32)
        if self.data.random:
            keys = [
                rng.integers(0, 2**63 - 1, shape[1:], endpoint=True) for rng in self._each("images", steps)
            ]
            found["keys"] = np.array(keys, np.int64).reshape(shape)
        if "label" in self.method.needs and label is not None:
            found["label"] = label.reshape(len(steps), 1, self.run.batch)
        if "shuffle" in self.method.needs:
            width = (self.run.batch, self.run.latents)
            orders = [rng.random(width).argsort(axis=0) for rng in self._each("shuffle", steps)]
            found["shuffle"] = np.array(orders, np.int64).reshape(len(steps), 1, *width)
        return found

    def _each(self, purpose: str, steps: range) -> Iterator[np.random.Generator]:
        return (self._stream.at(purpose, step) for step in steps)

    def _shown(self, steps: range) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """The images' indices and, of pairs, the last changed factors."""
        shape = (len(steps), self.halves, self.run.batch)
        if self.halves == 2:
            return self._pairs(steps) if len(steps) else (np.empty(shape, np.int64), np.empty(0, np.int64))
        n, sampler = self.run.batch, self._sampler
        if sampler.plain:  # factor by factor, as it was before there were other grids
            several = (draw_factors(self.sizes, n, rng) for rng in self._each("batch", steps))
            drawn = [factors @ self.data.strides for factors in several]
        else:
            drawn = [sampler.images(n, rng) for rng in self._each("batch", steps)]
        return np.array(drawn, np.int64).reshape(shape), None

    def _pairs(self, steps: range) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        n, k, rule = self.run.batch, self.settings.k, self.settings.pairs
        if self._sampler.plain:  # assembled for all steps at once
            several = [draw(self.sizes, n, k, rule, rng) for rng in self._each("batch", steps)]
            first, counts, keys, other = (np.concatenate(part) for part in zip(*several, strict=True))
            pairs = assemble(self.sizes, (first, counts, keys, other), rule)
            index = np.stack([pairs.first @ self.data.strides, pairs.second @ self.data.strides])
            index, label = index.reshape(2, len(steps), n).swapaxes(0, 1), pairs.label
        else:
            found = [
                self._one(self._sampler.pairs(n, k, rule, rng), rng) for rng in self._each("batch", steps)
            ]
            index, label = (np.stack(part) for part in zip(*found, strict=True))
        return index, label

    def _one(self, pairs: Pairs, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Images of a step's pairs, any of those that there are of each."""
        return self._sampler.any_image(np.stack([pairs.first, pairs.second]), rng), pairs.label
