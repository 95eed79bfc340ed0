"""AnnealedVAE (Burgess et al. 2018): the KL is held at a capacity that rises during training."""

from __future__ import annotations

from typing import Annotated

import msgspec
from torch import Tensor

from disentangle.find import Method
from disentangle.losses import LossResult, Weight
from disentangle.models.vae import VAE, build_vae, decode_means, posterior, posterior_mean, vae_terms


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """c_max: the last capacity, in nats. gamma: weight of the distance from it.

    iteration_threshold: the steps until c_max is reached. The 2019 study sweeps c_max 5, 10, 25, 50, 75, 100.
    """

    c_max: Weight = 25.0
    gamma: Weight = 1000.0
    iteration_threshold: Annotated[int, msgspec.Meta(ge=1)] = 100_000


def capacity(c_max: float | Tensor, step: Tensor, iteration_threshold: int) -> Tensor:
    """What the KL is held at: from 0 on, linear in the step, ``c_max`` from ``iteration_threshold`` on.

    >>> import torch
    >>> capacity(25.0, torch.tensor(50_000.0), 100_000).item()
    12.5
    """
    return c_max * (step / iteration_threshold).clamp(max=1)


def annealed_loss(model: VAE, images: Tensor, noise: Tensor, settings: Settings, step: Tensor) -> LossResult:
    r"""Reconstruction + :math:`\gamma \lvert \mathrm{KL} - C \rvert`, in nats, with C of `capacity`.

    A run shorter than ``iteration_threshold`` ends at a smaller capacity than ``c_max``: half way at half of
    it. The diagnostics have the ELBO of beta = 1 and the capacity.

    Source: Burgess et al. 2018, "Understanding disentangling in beta-VAE", arXiv 1804.03599; the constants
    are those of Locatello et al. 2019.
    """
    reconstruction, kl, _, diagnostics = vae_terms(model, images, noise)
    aim = capacity(settings.c_max, step, settings.iteration_threshold)
    objective = settings.gamma * (kl - aim).abs() - reconstruction
    return LossResult(objective, {**diagnostics, "capacity": aim.expand_as(kl).detach()})


METHOD = Method(
    title="AnnealedVAE",
    paper="Burgess et al. 2018, arXiv 1804.03599",
    settings=Settings,
    build=build_vae,
    loss=annealed_loss,
    represent=posterior_mean,
    decode=decode_means,
    posterior=posterior,
    needs=("step",),
)
