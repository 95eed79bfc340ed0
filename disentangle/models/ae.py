"""The plain autoencoder, the baseline without a prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from disentangle.autoencoder import BaseAutoencoder
from disentangle.find import Method
from disentangle.losses import LikelihoodType, LossResult, ModelOutput, log_likelihood


@dataclass(slots=True, repr=False)
class AEEncodeOutput(ModelOutput):
    """Output of the encoder stage: the latent code ``z [B, ...]``."""

    z: Tensor


@dataclass(slots=True, repr=False)
class AEDecodeOutput(ModelOutput):
    """Output of the decoder stage: the reconstruction (or logits) ``x_hat [B, ...]``."""

    x_hat: Tensor


@dataclass(slots=True, repr=False)
class AEOutput(ModelOutput):
    """Output of the full pass: ``x_hat [B, ...]`` and ``z [B, ...]``."""

    x_hat: Tensor
    z: Tensor


class AE(BaseAutoencoder):
    """Autoencoder composed of a user-defined encoder and decoder.

    Args:
        encoder: maps ``x -> z``, any module.
        decoder: maps ``z -> x_hat``, any module.

    >>> model = AE(nn.Linear(6, 2), nn.Linear(2, 6))
    >>> x = torch.zeros(4, 6)
    >>> model(x)
    AEOutput(x_hat=Tensor(shape=(4, 6), dtype=torch.float32), z=Tensor(shape=(4, 2), dtype=torch.float32))
    >>> sorted(model.compute_loss(x, model(x)).diagnostics)
    ['log_likelihood']
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def _encode(self, x: Tensor) -> AEEncodeOutput:
        return AEEncodeOutput(z=self.encoder(x))

    def _decode(self, z: Tensor) -> AEDecodeOutput:
        return AEDecodeOutput(x_hat=self.decoder(z))

    def forward(self, x: Tensor) -> AEOutput:
        """The full training pass, with gradients.

        Args:
            x: input batch ``[B, ...]``.

        Returns:
            The reconstruction ``x_hat`` and the latent code ``z``.
        """
        z = self._encode(x).z
        return AEOutput(x_hat=self._decode(z).x_hat, z=z)

    def compute_loss(
        self, x: Tensor, ae_output: AEOutput, likelihood: str | LikelihoodType = LikelihoodType.GAUSSIAN
    ) -> LossResult:
        """The batch-mean reconstruction negative log-likelihood, in nats.

        Elementwise log-likelihood, summed over features, mean over the batch.

        Args:
            x: targets ``[B, ...]``; in [0, 1] for Bernoulli.
            ae_output: the output of `forward`; its ``x_hat`` has the shape of ``x``.
            likelihood: ``'gaussian'`` (default) or ``'bernoulli'`` (``x_hat`` are logits).

        Returns:
            The objective, and the diagnostic ``"log_likelihood"``, its negative.

        Raises:
            ValueError: ``x_hat`` has another shape than ``x``, or the likelihood is unknown.
        """
        each = log_likelihood(x, ae_output.x_hat, likelihood)
        mean = each.sum(dim=tuple(range(1, each.dim()))).mean() if each.dim() > 1 else each.mean()
        return LossResult(objective=-mean, diagnostics={"log_likelihood": mean.detach()})


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """AE has no hyperparameters."""


def _build(encoder: nn.Module, decoder: nn.Module, latents: int, settings: Settings) -> AE:
    return AE(nn.Sequential(encoder, nn.LazyLinear(latents)), decoder)


def _loss(model: AE, images: Tensor, noise: Tensor, settings: Settings) -> LossResult:
    return model.compute_loss(images, model(images), likelihood=LikelihoodType.BERNOULLI)


def codes_of(model: Any, images: Tensor) -> Tensor:
    """The codes ``(B, latents)`` of images, of a model with the interface of `AE`."""
    codes: Tensor = model.encode(images).z
    return codes


def images_of(model: Any, codes: Tensor) -> Tensor:
    """Images in [0, 1] from codes ``(B, latents)``."""
    return torch.sigmoid(model.decode(codes).x_hat)


METHOD = Method(
    title="AE",
    paper="the plain autoencoder (Hinton and Salakhutdinov 2006)",
    settings=Settings,
    build=_build,
    loss=_loss,
    represent=codes_of,
    decode=images_of,
)
