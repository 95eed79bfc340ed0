"""Random numbers where a metric can follow the reference library."""

from __future__ import annotations

import numpy as np

from disentangle.metrics import _points


def generator(rng: _points.Rng | np.random.RandomState, mode: str) -> np.random.Generator:
    """The generator from which a metric draws its points, for the metrics that draw nothing else.

    In the default mode `rng` is a seed or a generator. In the reference's modes it is a seed, which
    then draws the same points as in the default mode, or a `numpy.random.RandomState`, of which one
    number is taken as the seed.

    Raises:
        InputError: `rng` is none of these.

    >>> int(generator(3, "dlib").integers(100)) == int(generator(3, "default").integers(100))
    True
    """
    if mode == "default":
        return _points.generator(rng)  # it refuses a RandomState
    state = _points.random_state(rng)
    return np.random.default_rng(int(state.randint(2**32, dtype=np.uint32)) if state is rng else rng)
