"""Ada-GVAE (Locatello et al. 2020): a VAE on pairs that shares the latents that did not change."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import torch
from torch import Tensor, nn

from disentangle.autoencoder import build, check_samples, reparametrize
from disentangle.find import Method
from disentangle.losses import LikelihoodType, LossResult, ModelOutput, beta_elbo
from disentangle.models.vae import VAE, VAEOutput, decode_means, posterior, posterior_mean


@dataclass(slots=True, repr=False)
class AdaGVAEOutput(ModelOutput):
    """Output of a pair's pass: ``output1`` and ``output2``, each a `VAEOutput` with adapted posterior."""

    output1: VAEOutput
    output2: VAEOutput


class AdaGVAE(nn.Module):
    """Adaptive Group VAE: wraps a `VAE` and groups the posteriors of a pair.

    Per pair and latent, delta = KL(q1 || q2); latents with delta below the middle of its range over
    the latents are shared: both get the average posterior. `forward` groups and samples in training
    and in evaluation mode. For single images use ``model.vae.encode`` and ``model.vae.decode``.

    Args:
        vae: the VAE whose encoder, sampling layer and decoder are used and trained.

    >>> model = AdaGVAE(VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent_dim=2))
    >>> pair = torch.zeros(3, 6), torch.ones(3, 6)
    >>> model(pair).output2.mu.shape
    torch.Size([3, 2])
    >>> len(model.compute_loss(pair, model(pair)).diagnostics)
    5
    """

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def build(self, input_sample: Tensor | tuple[Tensor, Tensor]) -> None:
        """Materialise lazy layers from a batch of single images, or a pair of batches."""
        single = input_sample if isinstance(input_sample, Tensor) else input_sample[0]
        build(self, self.vae, single)

    def forward(
        self, x: tuple[Tensor, Tensor], S: int = 1, noise: tuple[Tensor, Tensor] | None = None
    ) -> AdaGVAEOutput:
        """Encode both images in one pass, group, sample ``S`` times, decode in one pass.

        Args:
            x: a pair ``(x1, x2)``, each ``[B, ...]``.
            S: latent samples per image.
            noise: a pair of standard normal draws, each ``[B, S, D_z]``, to use instead of torch's.

        Raises:
            ValueError: not a pair, shapes that differ, or S < 1.
        """
        x1, x2 = _check_pair(x)
        check_samples(S)
        mu, log_var = self.vae.sampling_layer.get_params(self.vae.encoder(torch.cat([x1, x2])))
        adapted_mu, adapted_log_var = group(*mu.chunk(2), *log_var.chunk(2))
        mu, log_var = torch.cat(adapted_mu), torch.cat(adapted_log_var)
        z = reparametrize(mu, log_var, S, None if noise is None else torch.cat(tuple(noise)))
        x_hat = self.vae._decode(z).x_hat
        halves = zip(x_hat.chunk(2), z.chunk(2), adapted_mu, adapted_log_var, strict=True)
        return AdaGVAEOutput(*(VAEOutput(*half) for half in halves))

    def compute_loss(
        self,
        x: tuple[Tensor, Tensor],
        vae_output: AdaGVAEOutput,
        beta: float = 1,
        likelihood: str | LikelihoodType = LikelihoodType.GAUSSIAN,
    ) -> LossResult:
        """The sum of the two images' negative ELBOs under the adapted posteriors, in nats.

        The paper's objective is half of it; the trainer halves it, this method does not.

        Args:
            x: the pair ``(x1, x2)``, each ``[B, ...]``.
            vae_output: the output of `forward`.
            beta: weight of both KL terms.
            likelihood: ``'gaussian'`` (default) or ``'bernoulli'`` (logits).

        Returns:
            The objective, and as diagnostics ``"elbo"`` (the sum of both, with beta),
            ``"log_likelihood_x1"``, ``"log_likelihood_x2"``, ``"kl_divergence_x1"`` and
            ``"kl_divergence_x2"`` (unweighted), all batch means.

        Raises:
            ValueError: a shape does not fit, or the likelihood is unknown.
        """
        elbo, diagnostics = [], {}
        for i, (xi, out) in enumerate(
            zip(_check_pair(x), (vae_output.output1, vae_output.output2), strict=True), start=1
        ):
            one, reconstruction, kl = beta_elbo(xi, out.x_hat, out.mu, out.log_var, beta, likelihood)
            elbo.append(one)
            diagnostics[f"log_likelihood_x{i}"] = reconstruction.detach()
            diagnostics[f"kl_divergence_x{i}"] = kl.detach()
        total = elbo[0] + elbo[1]
        return LossResult(objective=-total, diagnostics={"elbo": total.detach(), **diagnostics})


def _check_pair(x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    if not isinstance(x, tuple | list) or len(x) != 2:
        found = f"{len(x)} items" if isinstance(x, tuple | list) else type(x).__name__
        raise ValueError(f"x must be a pair (x1, x2) of tensors, got {found}")
    x1, x2 = x
    if x1.shape != x2.shape or x1.dim() < 2:
        raise ValueError(f"x1 and x2 must have one shape [B, ...], got {list(x1.shape)} and {list(x2.shape)}")
    return x1, x2


def shared_latents(mu1: Tensor, mu2: Tensor, log_var1: Tensor, log_var2: Tensor) -> Tensor:
    """Which latents of each pair count as unchanged: KL(q1 || q2) < (max + min) / 2 over the latents.

    Where all divergences are equal everything is shared. No gradient passes through.

    Args:
        mu1, mu2, log_var1, log_var2: posteriors ``(B, D)``.

    Returns:
        A boolean mask ``(B, D)``.
    """
    with torch.no_grad():
        log_ratio = log_var1 - log_var2
        # As one exponential: shift^2 * exp(-log_var2) would be 0 * inf at extreme variances.
        squares = torch.exp(2 * (mu1 - mu2).abs().log() - log_var2)
        delta = 0.5 * (log_ratio.exp() + squares - 1 - log_ratio)
        # An overflow is "as different as can be", so that the threshold stays a number.
        delta = delta.clamp(max=torch.finfo(delta.dtype).max)
        low, high = delta.amin(1, keepdim=True), delta.amax(1, keepdim=True)
        return (delta < low / 2 + high / 2) | (low == high)


def group(
    mu1: Tensor, mu2: Tensor, log_var1: Tensor, log_var2: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Average the posteriors of the shared latents (means, and variances), keep the others.

    The averaged log-variance is ``logaddexp(log_var1, log_var2) - log 2``: the variances themselves
    underflow below a log-variance of about -95 in float32 and would give NaN gradients.

    Returns:
        ``(mu1, mu2), (log_var1, log_var2)`` after grouping, each ``(B, D)``.
    """
    shared = shared_latents(mu1, mu2, log_var1, log_var2)
    mu = (mu1 + mu2) / 2
    log_var = torch.logaddexp(log_var1, log_var2) - math.log(2)
    return (
        (torch.where(shared, mu, mu1), torch.where(shared, mu, mu2)),
        (torch.where(shared, log_var, log_var1), torch.where(shared, log_var, log_var2)),
    )


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """beta: weight of the KL. k: factors that change in a pair, a number or "rnd" (1..F-1 at random).

    pairs: the sampler, "paper" (exactly k factors take another value) or "dlib" (the released code).
    """

    beta: Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max)] = 1.0
    k: Annotated[int, msgspec.Meta(ge=1)] | Literal["rnd"] = 1
    pairs: Literal["paper", "dlib"] = "paper"


def _build(encoder: nn.Module, decoder: nn.Module, latents: int, settings: Settings) -> AdaGVAE:
    return AdaGVAE(VAE(encoder, decoder, latents))


def _loss(
    model: AdaGVAE, images: tuple[Tensor, Tensor], noise: tuple[Tensor, Tensor], settings: Settings
) -> LossResult:
    out = model(images, noise=noise)
    loss = model.compute_loss(images, out, beta=settings.beta, likelihood=LikelihoodType.BERNOULLI)
    # The study's objective is the mean over the two images, not the sum.
    return LossResult(objective=loss.objective / 2, diagnostics=loss.diagnostics)


METHOD = Method(
    title="Ada-GVAE",
    paper="Locatello et al. 2020, arXiv 2002.02886",
    settings=Settings,
    build=_build,
    loss=_loss,
    represent=lambda model, images: posterior_mean(model.vae, images),
    decode=lambda model, codes: decode_means(model.vae, codes),
    pairs=True,
    posterior=lambda model, images: posterior(model.vae, images),
)
