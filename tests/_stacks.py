"""Runs on images of noise, for tests of stacks."""

import msgspec
import numpy as np
import pytest

from disentangle import Run, find
from disentangle.data import FactorData
from disentangle.images import Pixels
from disentangle.stack import Stack
from disentangle.train import train


def noise_images():
    """Random pixels: on even backgrounds units sit at ReLU's kink, where rounding decides."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 64, 64), dtype=np.uint8)
    factors = ("a", "b", "c")
    return FactorData("noise", factors, tuple(map(np.arange, (2, 3, 4))), Pixels(pixels), "user", "")


DATA = noise_images()


def run(method="beta_vae", **changes):
    fields = {"method": method, "dataset": "noise", "source": "user", "steps": 6, "batch": 4, "lr": 1e-3}
    return Run(**{**fields, **changes}).complete()


def several(method, **changes):
    """Runs that differ in their seeds, in each of the method's float settings and in what it draws."""
    descriptor = find.get("method", method)
    hyper = [{}, {"k": "rnd"} if descriptor.pairs else {}]
    for f in msgspec.structs.fields(descriptor.settings):
        if isinstance(f.default, float):
            hyper.append({f.name: 2 * f.default + 0.5})
    return [run(method, seed=seed, hyper=one, **changes) for seed, one in enumerate(hyper)]


def interrupted(runs, data, folder, **options):
    """Train until step 8, with checkpoints every 4 steps."""
    advance = Stack.advance

    def killed(self, steps):
        if self.step >= 8:
            raise KeyboardInterrupt
        advance(self, steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stack, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            train(runs, data, folder, checkpoint_every=4, **options)
