"""beta-VAE: the VAE with a weight on the KL. The model and its loss are `VAE`."""

from __future__ import annotations

import msgspec

from disentangle.find import Method
from disentangle.losses import Weight
from disentangle.models.vae import build_vae, decode_means, posterior, posterior_mean, vae_loss


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """beta: weight of the KL, at least 0; 1 is the VAE. The 2019 study sweeps 1, 2, 4, 6, 8, 16."""

    beta: Weight = 4.0


METHOD = Method(
    title="beta-VAE",
    paper="Higgins et al. 2017, ICLR",
    settings=Settings,
    build=build_vae,
    loss=lambda model, images, noise, settings: vae_loss(model, images, noise, settings.beta),
    represent=posterior_mean,
    decode=decode_means,
    posterior=posterior,
)
