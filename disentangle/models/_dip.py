"""What DIP-VAE I and II have in common: covariances of the codes, and their distance from the identity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from disentangle.losses import LossResult, full
from disentangle.models.vae import VAE, vae_terms


def covariance(mu: Tensor) -> Tensor:
    """The biased covariance (1/N) of means ``(B, D)`` over the batch: ``(D, D)``.

    >>> covariance(torch.tensor([[0.0, 0.0], [2.0, 4.0]])).tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    centred = full(mu) - full(mu).mean(dim=0)
    # No matrix product, which other precisions would round.
    return (centred.unsqueeze(2) * centred.unsqueeze(1)).mean(dim=0)


def distance(cov: Tensor, off_diagonal: float | Tensor, diagonal: float | Tensor) -> Tensor:
    r""":math:`\lambda_{od} \sum_{i \ne j} C_{ij}^2 + \lambda_d \sum_i (C_{ii} - 1)^2`; 0 for the identity.

    >>> distance(torch.tensor([[3.0, 1.0], [1.0, 1.0]]), 10.0, 1.0).item()
    24.0
    """
    own = torch.eye(cov.shape[0], dtype=torch.bool, device=cov.device)
    off = torch.where(own, 0, cov).square().sum()
    return off_diagonal * off + diagonal * (cov.diagonal() - 1).square().sum()


def dip_loss(model: VAE, images: Tensor, noise: Tensor, settings: Any, second: bool) -> LossResult:
    """Reconstruction + KL + the distance of a covariance from the identity, in nats.

    Args:
        model, images, noise: of a batch.
        settings: with ``lambda_od`` and ``lambda_d_factor``, the diagonal's weight over the other.
        second: of DIP-VAE-II, which adds the mean posterior variances to the covariance of the means.
    """
    reconstruction, kl, out, diagnostics = vae_terms(model, images, noise)
    cov = covariance(out.mu)
    if second:
        cov = cov + torch.diag_embed(full(out.log_var).exp().mean(dim=0))
    weight = settings.lambda_od
    penalty = distance(cov, weight, settings.lambda_d_factor * weight)
    objective = kl + penalty - reconstruction
    return LossResult(objective, {**diagnostics, "covariance_penalty": penalty.detach()})
