"""DIP-VAE-I (Kumar et al. 2018): the covariance of the posterior means is drawn to the identity."""

from __future__ import annotations

import msgspec
from torch import Tensor

from disentangle.find import Method
from disentangle.losses import LossResult, Weight
from disentangle.models._dip import dip_loss
from disentangle.models.vae import VAE, build_vae, decode_means, posterior, posterior_mean


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """lambda_od: weight of the covariances. lambda_d_factor: that of the variances is so many times higher.

    The 2019 study sweeps lambda_od 1, 2, 5, 10, 20, 50 and has a factor of 10.0.
    """

    lambda_od: Weight = 10.0
    lambda_d_factor: Weight = 10.0


def dip_i_loss(model: VAE, images: Tensor, noise: Tensor, settings: Settings) -> LossResult:
    r"""Reconstruction + KL + :math:`\lambda_{od} \sum_{i \ne j} C_{ij}^2 + \lambda_d \sum_i (C_{ii} - 1)^2`.

    C is Cov(mu), the covariance of the posterior means, over the batch (biased, 1/N).

    Source: Kumar et al. 2018, "Variational Inference of Disentangled Latent Concepts from Unlabeled
    Observations", arXiv 1711.00848; the weights are those of Locatello et al. 2019.
    """
    return dip_loss(model, images, noise, settings, second=False)


METHOD = Method(
    title="DIP-VAE-I",
    paper="Kumar et al. 2018, arXiv 1711.00848",
    settings=Settings,
    build=build_vae,
    loss=dip_i_loss,
    represent=posterior_mean,
    decode=decode_means,
    posterior=posterior,
)
