"""The variational autoencoder (Kingma and Welling 2013), with beta in its loss (Higgins et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor, nn

from disentangle.autoencoder import BaseAutoencoder, FullyFactorizedGaussian
from disentangle.find import Method
from disentangle.losses import LikelihoodType, LossResult, ModelOutput, beta_elbo


@dataclass(slots=True, repr=False)
class VAEEncodeOutput(ModelOutput):
    """Output of the encoder stage: ``z [B, S, D_z]``, ``mu [B, D_z]``, ``log_var [B, D_z]``."""

    z: Tensor
    mu: Tensor
    log_var: Tensor


@dataclass(slots=True, repr=False)
class VAEDecodeOutput(ModelOutput):
    """Output of the decoder stage: reconstructions or logits ``x_hat [B, S, ...]``."""

    x_hat: Tensor


@dataclass(slots=True, repr=False)
class VAEOutput(ModelOutput):
    """Output of the full pass: ``x_hat [B, S, ...]``, ``z [B, S, D_z]``, ``mu``, ``log_var [B, D_z]``."""

    x_hat: Tensor
    z: Tensor
    mu: Tensor
    log_var: Tensor


class VAE(BaseAutoencoder):
    """Variational autoencoder of a user-defined encoder and decoder.

    An encoder ``x -> f(x)``, a fully factorized Gaussian head ``f(x) -> (z, mu, log_var)`` and a
    decoder ``z -> x_hat``. Training mode samples ``z``; evaluation mode returns the mean, repeated.

    Args:
        encoder: maps ``x [B, ...]`` to features ``[B, F]``.
        decoder: maps ``z [B * S, D_z]`` to reconstructions (logits for Bernoulli).
        latent_dim: the number of latents ``D_z``.

    >>> model = VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent_dim=2)
    >>> x = torch.zeros(3, 6)
    >>> model(x, S=5).x_hat.shape
    torch.Size([3, 5, 6])
    >>> sorted(model.compute_loss(x, model(x), beta=4).diagnostics)
    ['elbo', 'kl_divergence', 'log_likelihood']
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, latent_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.latent_dim = latent_dim
        self.sampling_layer = FullyFactorizedGaussian(latent_dim=latent_dim)

    def _encode(self, x: Tensor, S: int = 1, noise: Tensor | None = None) -> VAEEncodeOutput:
        z, mu, log_var = self.sampling_layer(self.encoder(x), S=S, noise=noise)
        return VAEEncodeOutput(z=z, mu=mu, log_var=log_var)

    def _decode(self, z: Tensor) -> VAEDecodeOutput:
        if z.dim() != 3 or z.shape[2] != self.latent_dim:
            raise ValueError(
                f"z must have shape [B, S, D_z] with D_z = {self.latent_dim}, got {list(z.shape)}"
            )
        flat = self.decoder(z.reshape(-1, z.shape[2]))
        return VAEDecodeOutput(x_hat=flat.reshape(z.shape[0], z.shape[1], *flat.shape[1:]))

    def forward(self, x: Tensor, S: int = 1, noise: Tensor | None = None) -> VAEOutput:
        """Encode, sample ``S`` times, decode.

        Args:
            x: input batch ``[B, ...]``.
            S: latent samples per input, for Monte Carlo estimates.
            noise: standard normal draws ``[B, S, D_z]`` to use instead of torch's own, so that a
                trainer's numbers depend on its seed alone; not used in evaluation mode.

        Raises:
            ValueError: S < 1, or the encoder's output is not ``[B, F]``.
        """
        code = self._encode(x, S=S, noise=noise)
        return VAEOutput(x_hat=self._decode(code.z).x_hat, z=code.z, mu=code.mu, log_var=code.log_var)

    def compute_loss(
        self,
        x: Tensor,
        vae_output: VAEOutput,
        beta: float = 1,
        likelihood: str | LikelihoodType = LikelihoodType.GAUSSIAN,
    ) -> LossResult:
        r"""The negative evidence lower bound, with a weight on the KL (beta-VAE), in nats.

        :math:`\mathbb E_{q(z \mid x)}[\log p(x \mid z)] - \beta\,\mathrm{KL}(q(z \mid x)\,\|\,p(z))`,
        the expectation as the mean over the S samples in ``vae_output``. Features are summed, then
        the mean is taken over S and over the batch.

        Args:
            x: targets ``[B, ...]``; broadcast over S as a view.
            vae_output: the output of `forward`; ``x_hat`` is ``[B, S, ...]`` or ``[B, ...]`` (S = 1).
            beta: weight of the KL; 1 is the VAE.
            likelihood: ``'gaussian'`` (default) or ``'bernoulli'`` (``x_hat`` are logits).

        Returns:
            The objective, and as diagnostics the batch means ``"elbo"`` (with beta),
            ``"log_likelihood"`` and ``"kl_divergence"`` (unweighted).

        Raises:
            ValueError: a shape does not fit, or the likelihood is unknown.
        """
        elbo, reconstruction, kl = beta_elbo(
            x, vae_output.x_hat, vae_output.mu, vae_output.log_var, beta, likelihood
        )
        diagnostics = {"elbo": elbo, "log_likelihood": reconstruction, "kl_divergence": kl}
        return LossResult(objective=-elbo, diagnostics={k: v.detach() for k, v in diagnostics.items()})


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """VAE has no hyperparameters: beta is 1. See the method `beta_vae` for others."""


def build_vae(encoder: nn.Module, decoder: nn.Module, latents: int, settings: object) -> VAE:
    """A `VAE` of the given networks."""
    return VAE(encoder, decoder, latents)


def vae_loss(model: VAE, images: Tensor, noise: Tensor, beta: float) -> LossResult:
    """The beta-VAE objective of the studies: Bernoulli likelihood, one sample."""
    out = model(images, noise=noise)
    return model.compute_loss(images, out, beta=beta, likelihood=LikelihoodType.BERNOULLI)


def vae_terms(
    model: VAE, images: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, VAEOutput, dict[str, Tensor]]:
    """What objectives other than beta's are made of: Bernoulli likelihood, one sample, in nats.

    Returns:
        The batch means of log-likelihood and KL, with gradients; the output of the pass; and the
        diagnostics of the VAE, the ELBO with beta = 1.
    """
    out = model(images, noise=noise)
    elbo, reconstruction, kl = beta_elbo(images, out.x_hat, out.mu, out.log_var, 1, LikelihoodType.BERNOULLI)
    diagnostics = {"elbo": elbo, "log_likelihood": reconstruction, "kl_divergence": kl}
    return reconstruction, kl, out, {k: v.detach() for k, v in diagnostics.items()}


@torch.no_grad()
def posterior(model: VAE, images: Tensor) -> tuple[Tensor, Tensor]:
    """The posterior's means and log-variances, each ``(B, D_z)``."""
    mu, log_var = model.sampling_layer.get_params(model.encoder(images))
    return mu, log_var


def posterior_mean(model: VAE, images: Tensor) -> Tensor:
    """The representation that the studies score: the posterior means ``(B, D_z)``."""
    return posterior(model, images)[0]


def decode_means(model: VAE, codes: Tensor) -> Tensor:
    """Images in [0, 1] from codes ``(B, D_z)``."""
    x_hat: Tensor = model.decode(codes.unsqueeze(1)).x_hat
    return torch.sigmoid(x_hat.squeeze(1))


METHOD = Method(
    title="VAE",
    paper="Kingma and Welling 2013, arXiv 1312.6114",
    settings=Settings,
    build=build_vae,
    loss=lambda model, images, noise, settings: vae_loss(model, images, noise, 1.0),
    represent=posterior_mean,
    decode=decode_means,
    posterior=posterior,
)
