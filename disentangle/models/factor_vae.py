"""FactorVAE (Kim and Mnih 2018): the total correlation of the codes, estimated by a discriminator."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disentangle.find import Method
from disentangle.losses import LossResult, Weight, full
from disentangle.models.vae import VAE, build_vae, decode_means, posterior, posterior_mean, vae_terms

WIDTH, DEPTH, SLOPE = 1000, 6, 0.2
EPSILON = 1e-6  # probabilities are clipped to [EPSILON, 1 - EPSILON]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """gamma: weight of the total correlation. The 2019 study sweeps 10, 20, 30, 40, 50, 100.

    updates: how steps are counted, "paper" (each step updates VAE and discriminator) or "dlib": the released
    code's two optimisers both advance the step counter, so that so many steps are half as many updates.
    """

    gamma: Weight = 10.0
    updates: Literal["paper", "dlib"] = "paper"


class Discriminator(nn.Module):
    """Tells codes from codes whose dimensions are independent: 6 layers of 1000 (leaky ReLU), 2 logits.

    Args:
        latents: dimensions of a code.

    >>> Discriminator(10)(torch.zeros(3, 10)).shape
    torch.Size([3, 2])
    """

    def __init__(self, latents: int) -> None:
        super().__init__()
        sizes = [latents, *[WIDTH] * DEPTH, 2]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, z: Tensor, frozen: bool = False) -> Tensor:
        """Logits ``(B, 2)``: class 0 is that of codes, class 1 that of shuffled ones.

        Args:
            z: codes ``(B, latents)``.
            frozen: pass gradients to the codes only, not to the weights.
        """
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            weight, bias = (
                (layer.weight.detach(), layer.bias.detach()) if frozen else (layer.weight, layer.bias)
            )
            z = F.linear(F.leaky_relu(z, SLOPE) if i else z, weight, bias)
        return z


class FactorVAE(nn.Module):
    """A `VAE` and the discriminator of its codes.

    Args:
        vae: the VAE.

    >>> model = FactorVAE(VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent_dim=2))
    >>> sum(p.numel() for p in model.discriminator.parameters())
    5010002
    """

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae
        self.discriminator = Discriminator(vae.latent_dim)


def factor_loss(
    model: FactorVAE, images: Tensor, noise: Tensor, settings: Settings, shuffle: Tensor
) -> LossResult:
    r"""The VAE's loss and the discriminator's, in nats, with gradients for the parameters of each.

    VAE: reconstruction + KL + :math:`\gamma` TC with TC the batch mean of logit 0 - logit 1.
    Discriminator: :math:`-\tfrac12 \mathbb E \log p_0(z) - \tfrac12 \mathbb E \log p_1(\bar z)`, where
    :math:`\bar z` has each dimension of the batch's codes in an order of its own; probabilities are clipped
    to [1e-6, 1 - 1e-6].
    The objective is the sum of both; no gradient of one reaches the other's parameters, and both networks
    change at once, from the same codes. The diagnostics have the ELBO of beta = 1.

    Args:
        model, images, noise, settings: of a batch.
        shuffle: for each latent an order of the batch ``(B, latents)``.

    Source: Kim and Mnih 2018, "Disentangling by Factorising", arXiv 1802.05983. As in the code of
    Locatello et al. 2019 the codes of the same batch are shuffled (the paper takes a second batch). The
    discriminator's Adam has betas (0.5, 0.9) and the run's learning rate (1e-4 for both in the study).
    """
    reconstruction, kl, out, diagnostics = vae_terms(model.vae, images, noise)
    z = out.z.squeeze(1)
    joint = full(model.discriminator(z, frozen=True))
    tc = (joint[:, 0] - joint[:, 1]).mean()
    told = z.detach()
    logits = model.discriminator(torch.cat([told, told.gather(0, shuffle)]))
    logs = F.log_softmax(full(logits), dim=1).clamp(math.log(EPSILON), math.log1p(-EPSILON))
    real, shuffled = logs.chunk(2)
    discriminator = -0.5 * (real[:, 0].mean() + shuffled[:, 1].mean())
    objective = kl + settings.gamma * tc - reconstruction + discriminator
    own = {"total_correlation": tc.detach(), "discriminator_loss": discriminator.detach()}
    return LossResult(objective, {**diagnostics, **own})


def updates(steps: int, settings: Settings) -> int:
    """The updates in so many steps: all, or those that the released code does.

    There one update advances the counter twice, and what stops the training reads the counter before it.

    >>> updates(300_000, Settings()), updates(20, Settings(updates="dlib"))
    (300000, 11)
    """
    return steps if settings.updates == "paper" or not steps else steps // 2 + 1


METHOD = Method(
    title="FactorVAE",
    paper="Kim and Mnih 2018, arXiv 1802.05983",
    settings=Settings,
    build=lambda *given: FactorVAE(build_vae(*given)),
    loss=factor_loss,
    represent=lambda model, images: posterior_mean(model.vae, images),
    decode=lambda model, codes: decode_means(model.vae, codes),
    posterior=lambda model, images: posterior(model.vae, images),
    needs=("shuffle",),
    adam={"discriminator.": {"betas": (0.5, 0.9)}},
    updates=updates,
)
