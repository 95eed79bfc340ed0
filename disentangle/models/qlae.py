"""QLAE (Hsu et al. 2023): an autoencoder whose latents each take one of a few learned values.

The published runs take 200,000 steps, a learning rate of 1e-3, batches of 128 and twice as many latents as
there are factors (12 on 3DShapes, 14 on MPI3D): these are settings of a run. Departures from the authors'
code (kylehkhsu/latent_quantization): the networks are the suite's, theirs are larger (12 convolutions each
way, instance norm, a decoder that modulates its features by the codes); no gradient is clipped, where they
clip those of weights elementwise to [-1, 1]. As theirs, the representation to be scored is the quantised
codes, which are discrete: `infomec` has an option for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn

from disentangle.autoencoder import BaseAutoencoder
from disentangle.find import Method
from disentangle.losses import LikelihoodType, LossResult, ModelOutput, Weight, log_likelihood
from disentangle.models.ae import codes_of, images_of


@dataclass(slots=True, repr=False)
class QLAEEncodeOutput(ModelOutput):
    """Output of the encoder stage, each ``[B, D_z]``.

    Attributes:
        z: the quantised codes, with the gradient of ``continuous`` (straight-through).
        continuous: the codes before quantisation.
        quantized: the quantised codes, with the gradient of the codebook.
        indices: which value of its codebook each latent takes.
    """

    z: Tensor
    continuous: Tensor
    quantized: Tensor
    indices: Tensor


@dataclass(slots=True, repr=False)
class QLAEDecodeOutput(ModelOutput):
    """Output of the decoder stage: the reconstruction (or logits) ``x_hat [B, ...]``."""

    x_hat: Tensor


@dataclass(slots=True, repr=False)
class QLAEOutput(ModelOutput):
    """Output of the full pass: ``x_hat [B, ...]``, and of `QLAEEncodeOutput` all but the indices."""

    x_hat: Tensor
    z: Tensor
    continuous: Tensor
    quantized: Tensor


def quantize(continuous: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest value of each latent's codebook; of two that are equally near the first.

    Args:
        continuous: codes ``(B, D)``.
        values: the codebooks ``(D, V)``.

    Returns:
        The values ``(B, D)``, whose gradient goes to the codebooks alone, and their places ``(B, D)``.

    >>> quantize(torch.tensor([[0.1, 9.0]]), torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    (tensor([[0., 3.]]), tensor([[0, 1]]))
    """
    with torch.no_grad():
        # Beyond a codebook's ends its end is nearest; far out the rounded distances would not tell.
        inside = continuous.clamp(values.amin(-1), values.amax(-1))
        indices = (inside.unsqueeze(-1) - values).abs().argmin(-1)
        chosen = indices.unsqueeze(-1) == torch.arange(values.shape[-1], device=values.device)
    # A product, not `gather`, whose gradient a GPU adds up in an order of its own each time.
    return (chosen * values).sum(-1), indices


class Quantizer(nn.Module):
    """A codebook of scalar values for each latent, ``values (latent_dim, values)``, that is learned.

    Args:
        latent_dim: the number of latents, 1 or more.
        values: how many values each may take, 2 or more.

    Raises:
        ValueError: there are too few.
    """

    def __init__(self, latent_dim: int, values: int) -> None:
        super().__init__()
        if latent_dim < 1 or values < 2:
            raise ValueError(
                f"latent_dim must be 1 or more and values 2 or more, got {latent_dim} and {values}"
            )
        self.values = nn.Parameter(torch.empty(latent_dim, values))
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Values evenly spaced in [-1/2, 1/2], the same for every latent."""
        self.values.copy_(torch.linspace(-0.5, 0.5, self.values.shape[1], dtype=torch.float64))

    def forward(self, continuous: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``z``, ``quantized`` and ``indices`` of codes ``(B, D)``; see `QLAEEncodeOutput`."""
        latents, found = len(self.values), list(continuous.shape)
        if len(found) != 2 or found[1] != latents:
            raise ValueError(f"the encoder must return codes of shape [B, {latents}], got {found}")
        quantized, indices = quantize(continuous, self.values)
        # The second term is 0, exactly: a code far from its value would else round the value away.
        return quantized.detach() + (continuous - continuous.detach()), quantized, indices


class QLAE(BaseAutoencoder):
    """Autoencoder with quantised latents, of a user-defined encoder and decoder.

    Args:
        encoder: maps ``x [B, ...]`` to codes ``[B, D_z]``.
        decoder: maps quantised codes ``[B, D_z]`` to reconstructions (logits for Bernoulli). `decode` takes
            codes as they are, so that values between two of a codebook's can be shown too.
        latent_dim: the number of latents ``D_z``.
        values: how many values each latent may take.

    >>> model = QLAE(nn.Identity(), nn.Linear(2, 6), latent_dim=2, values=3)
    >>> model.encode(torch.tensor([[-9.0, 0.1], [0.2, 0.3]])).z.tolist()
    [[-0.5, 0.0], [0.0, 0.5]]
    >>> model, x = QLAE(nn.Linear(6, 2), nn.Linear(2, 6), latent_dim=2), torch.zeros(4, 6)
    >>> sorted(model.compute_loss(x, model(x)).diagnostics)
    ['log_likelihood', 'quantization_error']
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, latent_dim: int, values: int = 10) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.quantizer = Quantizer(latent_dim, values)

    def _encode(self, x: Tensor) -> QLAEEncodeOutput:
        continuous = self.encoder(x)
        z, quantized, indices = self.quantizer(continuous)
        return QLAEEncodeOutput(z=z, continuous=continuous, quantized=quantized, indices=indices)

    def _decode(self, z: Tensor) -> QLAEDecodeOutput:
        return QLAEDecodeOutput(x_hat=self.decoder(z))

    def forward(self, x: Tensor) -> QLAEOutput:
        """Encode, quantise, decode; with gradients.

        Raises:
            ValueError: the encoder's output is not ``[B, D_z]``.
        """
        code = self._encode(x)
        return QLAEOutput(self._decode(code.z).x_hat, code.z, code.continuous, code.quantized)

    def compute_loss(
        self,
        x: Tensor,
        qlae_output: QLAEOutput,
        quantization: float = 0.01,
        commitment: float = 0.01,
        likelihood: str | LikelihoodType = LikelihoodType.GAUSSIAN,
    ) -> LossResult:
        r"""The negative log-likelihood, and how far codes are from their values.

        :math:`-\log p(x \mid z) + N \cdot \tfrac1D \sum_d \big(w_q\,(\mathrm{sg}(c_d) - q_d)^2 +
        w_c\,(c_d - \mathrm{sg}(q_d))^2\big)` of codes c with the values q, where sg passes no gradient;
        N is the number of features of an input (pixels times channels). The mean is taken over the batch.
        So the codebook learns from the first penalty alone, and the encoder from the reconstruction and
        the second.

        The authors' objective is this one divided by N: the mean cross-entropy of a pixel, and the
        penalties without N. Adam does not see a factor of its loss, but for its eps, so that their weights
        mean here what they do there.

        Args:
            x: targets ``[B, ...]``; in [0, 1] for Bernoulli.
            qlae_output: the output of `forward`; its ``x_hat`` has the shape of ``x``.
            quantization: the weight :math:`w_q`, which draws the values to the codes.
            commitment: the weight :math:`w_c`, which draws the codes to the values.
            likelihood: ``'gaussian'`` (default) or ``'bernoulli'`` (``x_hat`` are logits).

        Returns:
            The objective, and as diagnostics the batch means ``"log_likelihood"`` (nats, summed over
            features) and ``"quantization_error"``, the mean of :math:`(c_d - q_d)^2` over the latents,
            unweighted.

        Raises:
            ValueError: ``x_hat`` has another shape than ``x``, or the likelihood is unknown.
        """
        each = log_likelihood(x, qlae_output.x_hat, likelihood)
        reconstruction = each.flatten(1).sum(1).mean()
        codes, values = qlae_output.continuous, qlae_output.quantized
        to_codes = (codes.detach() - values).square().mean()
        to_values = (codes - values.detach()).square().mean()
        penalty = quantization * to_codes + commitment * to_values
        return LossResult(
            objective=each[0].numel() * penalty - reconstruction,
            diagnostics={"log_likelihood": reconstruction.detach(), "quantization_error": to_values.detach()},
        )


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """values: how many values each latent may take. quantization, commitment: weights of the two penalties.

    weight_decay: AdamW's decoupled decay of the weights. The defaults are the authors'; their weight decay is
    0.1 on 3DShapes, Falcor3D and Isaac3D, and 0.001 on MPI3D.
    """

    values: Annotated[int, msgspec.Meta(ge=2, le=65_536)] = 10
    quantization: Weight = 0.01
    commitment: Weight = 0.01
    weight_decay: Weight = 0.1


def _build(encoder: nn.Module, decoder: nn.Module, latents: int, settings: Settings) -> QLAE:
    return QLAE(nn.Sequential(encoder, nn.LazyLinear(latents)), decoder, latents, settings.values)


def _loss(model: QLAE, images: Tensor, noise: Tensor, settings: Settings) -> LossResult:
    weights = settings.quantization, settings.commitment
    return model.compute_loss(images, model(images), *weights, likelihood=LikelihoodType.BERNOULLI)


METHOD = Method(
    title="QLAE",
    paper="Hsu et al. 2023, arXiv 2305.18378",
    settings=Settings,
    build=_build,
    loss=_loss,
    represent=codes_of,
    decode=images_of,
    decay="weight_decay",
)
