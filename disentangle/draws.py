"""Counter-based random numbers: what step t draws depends on the seed, the purpose and t alone.

So a run's numbers are the same on every device, alone or in a stack, and after a resume, and no
generator state has to be kept (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
"""

from __future__ import annotations

import numpy as np

# Each purpose has a counter range of its own; a number, once used, keeps its meaning.
PURPOSES = {"init": 1, "batch": 2, "noise": 3, "score": 4, "calibration": 5, "pictures": 6}
PURPOSES |= {"images": 7, "shuffle": 8, "split": 9}


def generator(seed: int, purpose: str, step: int = 0, part: int = 0) -> np.random.Generator:
    """The generator of one step of one purpose.

    Args:
        seed: the run's seed, 0 or more.
        purpose: a key of `PURPOSES`.
        step: the training step, or 0.
        part: for a purpose with several independent parts, such as one per metric.

    >>> a, b = generator(3, "batch", step=7), generator(3, "batch", step=7)
    >>> bool((a.random(4) == b.random(4)).all())
    True
    """
    # The counter's lowest word runs while numbers are drawn: 2**64 blocks a step never overlap.
    counter = [0, step, part, PURPOSES[purpose]]
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))


class Stream:
    """The same numbers as `generator`, for one who wants those of many steps in turn.

    Setting a counter costs a tenth of building a generator. The generator that `at` returns is the same
    each time: use its numbers up before the next call.

    >>> bool(Stream(3).at("batch", 7).random() == generator(3, "batch", step=7).random())
    True
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.Philox(key=seed)
        self._generator = np.random.Generator(self._bits)
        self._fresh = self._bits.state

    def at(self, purpose: str, step: int = 0, part: int = 0) -> np.random.Generator:
        """The generator of a step; see `generator`."""
        self._fresh["state"]["counter"][:] = 0, step, part, PURPOSES[purpose]
        self._bits.state = self._fresh  # copied, with an empty buffer
        return self._generator
