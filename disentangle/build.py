"""A run's model with its initial weights."""

from __future__ import annotations

import torch
from torch import nn

from disentangle import find, nets
from disentangle.data import FactorData
from disentangle.draws import generator
from disentangle.errors import InputError
from disentangle.pairs import check_k
from disentangle.run import Run


def check(run: Run, data: FactorData) -> None:
    """Refuse a run that these data cannot train.

    Raises:
        InputError: the papers' networks do not take these images, or the settings or the split do not fit
            the data.
    """
    method, settings, side = find.get("method", run.method), run.settings(), data.image_shape[1:]
    if side != (nets.SIDE, nets.SIDE):
        raise InputError(f"{data.name}: images must be {nets.SIDE}x{nets.SIDE}, got {side[0]}x{side[1]}")
    if method.pairs:
        check_k(data.sizes, settings.k, settings.pairs)
    if "label" in method.needs and len(data.sizes) > run.latents:
        raise InputError(
            f"{run.method} keeps the latent with the changed factor's number, and {data.name} has "
            f"{len(data.sizes)} factors: expected at least so many latents, got {run.latents}"
        )
    data.with_split(run.split)


def build_model(run: Run, data: FactorData) -> nn.Module:
    """The run's model with its initial weights, which depend on the seed alone.

    Raises:
        InputError: the papers' networks do not take these images, or the settings do not fit the data.
    """
    check(run, data)
    model = blank_model(run, data.image_shape)
    nets.initialise(model, generator(run.seed, "init"))
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def blank_model(run: Run, image_shape: tuple[int, int, int]) -> nn.Module:
    """The run's model for images ``(C, H, W)``, with weights that are to be overwritten."""
    method, settings, channels = find.get("method", run.method), run.settings(), image_shape[0]
    with torch.random.fork_rng(devices=[]):  # lazy layers draw values that are overwritten at once
        model = method.build(
            nets.encoder(channels), nets.decoder(channels, run.latents), run.latents, settings
        )
        method.represent(model, torch.zeros(1, *image_shape))
    return model
