"""beta-TCVAE (Chen et al. 2018): a weight on the total correlation of the codes."""

from __future__ import annotations

import msgspec
from torch import Tensor

from disentangle.find import Method
from disentangle.losses import LossResult, Weight, total_correlation
from disentangle.models.vae import VAE, build_vae, decode_means, posterior, posterior_mean, vae_terms


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """beta: weight of the total correlation, at least 0; 1 is the VAE. The 2019 study: 1, 2, 4, 6, 8, 10."""

    beta: Weight = 6.0


def beta_tc_loss(model: VAE, images: Tensor, noise: Tensor, settings: Settings) -> LossResult:
    r"""Reconstruction + KL + :math:`(\beta - 1)` TC, in nats; TC is `disentangle.losses.total_correlation`.

    Source: Chen et al. 2018, "Isolating Sources of Disentanglement in VAEs", arXiv 1802.04942. As in the
    code of Locatello et al. 2019 the estimate leaves constants out, so that the TC of the diagnostics is too
    low by (D - 1) log(N B) for N images and batches of B, and often negative.
    """
    reconstruction, kl, out, diagnostics = vae_terms(model, images, noise)
    tc = total_correlation(out.z.squeeze(1), out.mu, out.log_var)
    objective = kl + (settings.beta - 1) * tc - reconstruction
    return LossResult(objective, {**diagnostics, "total_correlation": tc.detach()})


METHOD = Method(
    title="beta-TCVAE",
    paper="Chen et al. 2018, arXiv 1802.04942",
    settings=Settings,
    build=build_vae,
    loss=beta_tc_loss,
    represent=posterior_mean,
    decode=decode_means,
    posterior=posterior,
)
