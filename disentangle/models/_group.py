"""What the VAEs on pairs have in common: which latents of a pair are shared, and what is then shared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import torch
from torch import Tensor, nn

from disentangle.autoencoder import build, check_samples, reparametrize
from disentangle.find import Method
from disentangle.losses import LikelihoodType, LossResult, ModelOutput, Weight, beta_elbo
from disentangle.models.vae import VAE, VAEOutput, decode_means, posterior, posterior_mean

Gaussians = tuple[Tensor, Tensor]  # means and log-variances, each (B, D)


@dataclass(slots=True, repr=False)
class PairOutput(ModelOutput):
    """Output of a pair's pass: ``output1`` and ``output2``, each a `VAEOutput` with grouped posterior."""

    output1: VAEOutput
    output2: VAEOutput


def adaptive(mu1: Tensor, mu2: Tensor, log_var1: Tensor, log_var2: Tensor) -> Tensor:
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


def labelled(label: Tensor, latents: int) -> Tensor:
    """Which latents are shared when the changed factor is known: all but the one with its number.

    >>> labelled(torch.tensor([0, 2]), 3).tolist()
    [[False, True, True], [True, True, False]]
    """
    return label.unsqueeze(1) != torch.arange(latents, device=label.device)


def averaged(mu1: Tensor, mu2: Tensor, log_var1: Tensor, log_var2: Tensor) -> Gaussians:
    """GVAE's shared posterior: the mean of the means, and of the variances.

    The log-variance is ``logaddexp(log_var1, log_var2) - log 2``: the variances themselves underflow
    below a log-variance of about -95 in float32 and would give NaN gradients.

    >>> averaged(*(torch.full((1, 1), x) for x in (0.0, 2.0, 0.0, 0.0)))
    (tensor([[1.]]), tensor([[0.]]))
    """
    return (mu1 + mu2) / 2, torch.logaddexp(log_var1, log_var2) - math.log(2)


def multiplied(mu1: Tensor, mu2: Tensor, log_var1: Tensor, log_var2: Tensor) -> Gaussians:
    """ML-VAE's shared posterior: that of the normalised product of both, with twice its variance.

    ``v = 2 v1 v2 / (v1 + v2)`` and ``mu = v / 2 (mu1 / v1 + mu2 / v2)``, computed from log-variances: the
    weight of mu1 is ``v2 / (v1 + v2)``, a sigmoid of their difference.

    >>> mu, log_var = multiplied(*(torch.full((1, 1), x) for x in (0.0, 3.0, 0.0, 0.6931472)))
    >>> round(mu.item(), 4), round(log_var.exp().item(), 4)
    (1.0, 1.3333)
    """
    log_var = log_var1 + log_var2 - torch.logaddexp(log_var1, log_var2) + math.log(2)
    mu = torch.sigmoid(log_var2 - log_var1) * mu1 + torch.sigmoid(log_var1 - log_var2) * mu2
    return mu, log_var


def regroup(
    shared: Tensor, common: Gaussians, first: Gaussians, second: Gaussians
) -> tuple[Gaussians, Gaussians]:
    """The two posteriors with the common one where latents are shared; all ``(B, D)``."""
    (mu, log_var), (mu1, log_var1), (mu2, log_var2) = common, first, second
    return (
        (torch.where(shared, mu, mu1), torch.where(shared, log_var, log_var1)),
        (torch.where(shared, mu, mu2), torch.where(shared, log_var, log_var2)),
    )


class GroupVAE(nn.Module):
    """A `VAE` on pairs whose posteriors are grouped; the parent of those that say how.

    A child says by `common` what the shared latents get, and by its `forward` which they are. `forward`
    groups and samples in training and in evaluation mode. For single images use ``model.vae.encode``
    and ``model.vae.decode``.

    Args:
        vae: the VAE whose encoder, sampling layer and decoder are used and trained.
    """

    common: ClassVar[Any] = staticmethod(averaged)  # mypy takes a callable here for a method
    output: ClassVar[type[PairOutput]] = PairOutput

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def build(self, input_sample: Tensor | tuple[Tensor, Tensor]) -> None:
        """Materialise lazy layers from a batch of single images, or a pair of batches."""
        single = input_sample if isinstance(input_sample, Tensor) else input_sample[0]
        build(self, self.vae, single)

    def _pass(
        self,
        x: tuple[Tensor, Tensor],
        S: int,
        noise: tuple[Tensor, Tensor] | None,
        shared_of: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    ) -> Any:
        """Encode both images in one pass, group, sample ``S`` times, decode in one pass."""
        x1, x2 = check_pair(x)
        check_samples(S)
        mu, log_var = self.vae.sampling_layer.get_params(self.vae.encoder(torch.cat([x1, x2])))
        (mu1, mu2), (log_var1, log_var2) = mu.chunk(2), log_var.chunk(2)
        four = (mu1, mu2, log_var1, log_var2)
        grouped = regroup(shared_of(*four), self.common(*four), (mu1, log_var1), (mu2, log_var2))
        mu, log_var = (torch.cat(part) for part in zip(*grouped, strict=True))
        z = reparametrize(mu, log_var, S, None if noise is None else torch.cat(tuple(noise)))
        x_hat = self.vae._decode(z).x_hat
        halves = zip(x_hat.chunk(2), z.chunk(2), grouped, strict=True)
        return self.output(*(VAEOutput(one, code, *gaussian) for one, code, gaussian in halves))

    def compute_loss(
        self,
        x: tuple[Tensor, Tensor],
        vae_output: PairOutput,
        beta: float = 1,
        likelihood: str | LikelihoodType = LikelihoodType.GAUSSIAN,
    ) -> LossResult:
        """The sum of the two images' negative ELBOs under the grouped posteriors, in nats.

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
            zip(check_pair(x), (vae_output.output1, vae_output.output2), strict=True), start=1
        ):
            one, reconstruction, kl = beta_elbo(xi, out.x_hat, out.mu, out.log_var, beta, likelihood)
            elbo.append(one)
            diagnostics[f"log_likelihood_x{i}"] = reconstruction.detach()
            diagnostics[f"kl_divergence_x{i}"] = kl.detach()
        total = elbo[0] + elbo[1]
        return LossResult(objective=-total, diagnostics={"elbo": total.detach(), **diagnostics})


class LabelledVAE(GroupVAE):
    """A `GroupVAE` that is told which factor changed; all latents but the one of its number are shared."""

    def forward(
        self,
        x: tuple[Tensor, Tensor],
        label: Tensor,
        S: int = 1,
        noise: tuple[Tensor, Tensor] | None = None,
    ) -> PairOutput:
        """Encode both images in one pass, group, sample ``S`` times, decode in one pass.

        Args:
            x: a pair ``(x1, x2)``, each ``[B, ...]``.
            label: the number of the changed factor of each pair, int64 ``[B]``.
            S: latent samples per image.
            noise: a pair of standard normal draws, each ``[B, S, D_z]``, to use instead of torch's.

        Raises:
            ValueError: not a pair, shapes that differ, or S < 1.
        """
        if label.shape != check_pair(x)[0].shape[:1]:
            raise ValueError(f"label must have shape [B] = [{len(x[0])}], got {list(label.shape)}")
        found: PairOutput = self._pass(x, S, noise, lambda mu, *_: labelled(label, mu.shape[1]))
        return found


def check_pair(x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The two batches of a pair.

    Raises:
        ValueError: it is no pair, or their shapes differ.
    """
    if not isinstance(x, tuple | list) or len(x) != 2:
        found = f"{len(x)} items" if isinstance(x, tuple | list) else type(x).__name__
        raise ValueError(f"x must be a pair (x1, x2) of tensors, got {found}")
    x1, x2 = x
    if x1.shape != x2.shape or x1.dim() < 2:
        raise ValueError(f"x1 and x2 must have one shape [B, ...], got {list(x1.shape)} and {list(x2.shape)}")
    return x1, x2


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """beta: weight of the KL. k: factors that change in a pair, a number or "rnd" (1..F-1 at random).

    pairs: the sampler, "paper" (exactly k factors take another value) or "dlib" (the released code).
    """

    beta: Weight = 1.0
    k: Annotated[int, msgspec.Meta(ge=1)] | Literal["rnd"] = 1
    pairs: Literal["paper", "dlib"] = "paper"


def pair_method(title: str, paper: str, model: type[GroupVAE]) -> Method:
    """The descriptor of a method on pairs: half the summed loss, as the study has it."""
    told = issubclass(model, LabelledVAE)

    def loss(
        model: Any,
        images: tuple[Tensor, Tensor],
        noise: tuple[Tensor, Tensor],
        settings: Any,
        label: Tensor | None = None,
    ) -> LossResult:
        out = model(images, label, noise=noise) if told else model(images, noise=noise)
        found = model.compute_loss(images, out, beta=settings.beta, likelihood=LikelihoodType.BERNOULLI)
        # The study's objective is the mean over the two images, not the sum.
        return LossResult(objective=found.objective / 2, diagnostics=found.diagnostics)

    return Method(
        title=title,
        paper=paper,
        settings=Settings,
        build=lambda encoder, decoder, latents, settings: model(VAE(encoder, decoder, latents)),
        loss=loss,
        represent=lambda model, images: posterior_mean(model.vae, images),
        decode=lambda model, codes: decode_means(model.vae, codes),
        pairs=True,
        posterior=lambda model, images: posterior(model.vae, images),
        needs=("label",) if told else (),
    )
