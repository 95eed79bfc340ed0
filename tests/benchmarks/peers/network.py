"""The protocol's network, loss and operation count as anyone would write them from the papers.

Written again instead of imported, so that every peer (in an environment without `disentangle`) trains the
very same layers, and so that ours is compared with code that owes it nothing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

LATENTS = 10
LEARNING_RATE = 1e-4
BETA = {"beta_vae": 4.0, "ada_gvae": 1.0}


def encoder(outputs: int = 2 * LATENTS) -> nn.Sequential:
    """Images ``(B, 1, 64, 64)`` to means and log-variances ``(B, 20)``."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 2, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 2, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1024, 256),
        nn.ReLU(),
        nn.Linear(256, outputs),
    )


def decoder() -> nn.Sequential:
    """Codes ``(B, 10)`` to logits ``(B, 1, 64, 64)``."""
    return nn.Sequential(
        nn.Linear(LATENTS, 256),
        nn.ReLU(),
        nn.Linear(256, 1024),
        nn.ReLU(),
        nn.Unflatten(1, (64, 4, 4)),
        nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
    )


class PlainVAE(nn.Module):
    """Encoder and decoder; `loss` is the beta-VAE's, or the Ada-GVAE's for a pair of batches."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.encoder, self.decoder, self.beta = encoder(), decoder(), beta

    def loss(self, images: tuple[Tensor, ...]) -> Tensor:
        """Mean over the batch (and over the two images of a pair), in nats."""
        posteriors = [self.encoder(x).chunk(2, dim=1) for x in images]
        if len(images) == 2:
            posteriors = average_shared(*posteriors)
        total = torch.zeros(())
        for x, (mu, log_var) in zip(images, posteriors, strict=True):
            z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
            logits = self.decoder(z)
            reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
            kl = -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum() / len(x)
            total = total + reconstruction + self.beta * kl
        return total / len(images)


def average_shared(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """Ada-GVAE: latents whose KL lies under the middle of its range get the average posterior."""
    (mu1, log1), (mu2, log2) = first, second
    var1, var2 = log1.exp(), log2.exp()
    kl = 0.5 * (log2 - log1 + (var1 + (mu1 - mu2).square()) / var2 - 1)
    middle = (kl.amax(1, keepdim=True) + kl.amin(1, keepdim=True)) / 2
    shared = kl < middle
    mu, log_var = (mu1 + mu2) / 2, torch.log((var1 + var2) / 2)
    return [(torch.where(shared, mu, m), torch.where(shared, log_var, v)) for m, v in (first, second)]


def mflop_per_image(encode: nn.Module, decode: nn.Module, batch: int = 64) -> float:
    """Floating-point operations of forward and backward pass per image, in millions."""
    images = torch.rand(batch, 1, 64, 64)
    with FlopCounterMode(display=False) as counter:
        codes = encode(images)
        logits = decode(codes[:, :LATENTS])
        logits.sum().backward()
    encode.zero_grad()
    decode.zero_grad()
    return counter.get_total_flops() / batch / 1e6
