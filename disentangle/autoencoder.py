"""What the models have in common: the parent class and the Gaussian sampling layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from disentangle.losses import LossResult, ModelOutput


class BaseAutoencoder(nn.Module, ABC):
    """The interface of an autoencoder.

    A model writes `_encode`, `_decode`, `forward` and `compute_loss`, all with gradients; `encode`
    and `decode` are the same without gradients, for use after training.
    """

    @abstractmethod
    def _encode(self, x: Tensor, *args: Any, **kwargs: Any) -> ModelOutput:
        """Map inputs ``x`` to latent codes."""

    @abstractmethod
    def _decode(self, z: Tensor, *args: Any, **kwargs: Any) -> ModelOutput:
        """Map latent codes ``z`` to reconstructions."""

    @abstractmethod
    def forward(self, x: Any, *args: Any, **kwargs: Any) -> ModelOutput:
        """The full training pass."""

    @abstractmethod
    def compute_loss(self, x: Any, *args: Any, **kwargs: Any) -> LossResult:
        """The objective and its diagnostics."""

    @torch.no_grad()
    def encode(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """`_encode` without gradients; training and evaluation mode stay as they are."""
        return self._encode(x, *args, **kwargs)

    @torch.no_grad()
    def decode(self, z: Tensor, *args: Any, **kwargs: Any) -> Any:
        """`_decode` without gradients; training and evaluation mode stay as they are."""
        return self._decode(z, *args, **kwargs)

    def build(self, input_sample: Tensor) -> None:
        """Materialise lazy layers by one forward pass that leaves no other trace.

        The pass runs without gradients and in evaluation mode, so batch-norm statistics stay; every
        module's training flag is put back afterwards, also when the pass fails. A state dict can be
        loaded without it: the lazy layers take their sizes from the dict.

        Args:
            input_sample: a batch ``(B, ...)``; only its shape matters.
        """
        build(self, self, input_sample)


@torch.no_grad()
def build(root: nn.Module, model: nn.Module, input_sample: Any) -> None:
    """Run ``model(input_sample)`` in evaluation mode and put the flags of ``root`` back."""
    flags = [(module, module.training) for module in root.modules()]
    try:
        root.eval()
        model(input_sample)
    finally:
        for module, training in flags:
            module.training = training


class FullyFactorizedGaussian(nn.Module):
    r"""The posterior's head: :math:`q(z \mid x) = \mathcal N(\mu, \mathrm{diag}\,\sigma^2)`.

    Two lazily sized linear layers named ``mu`` and ``log_var`` read a feature vector.

    Args:
        latent_dim: the number of latents, 1 or more.

    Raises:
        ValueError: ``latent_dim`` is less than 1.

    >>> layer = FullyFactorizedGaussian(3).eval()
    >>> z, mu, log_var = layer(torch.ones(2, 5), S=4)
    >>> z.shape, bool((z[:, 1] == mu).all())
    (torch.Size([2, 4, 3]), True)
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be 1 or more, got {latent_dim}")
        self.latent_dim = latent_dim
        self.mu = nn.LazyLinear(latent_dim)
        self.log_var = nn.LazyLinear(latent_dim)

    def get_params(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior's means and log-variances, each ``(B, D)``, from features ``(B, F)``."""
        if f.dim() != 2:
            raise ValueError(f"the encoder must return features of shape [B, F], got {list(f.shape)}")
        return self.mu(f), self.log_var(f)

    def forward(self, f: Tensor, S: int = 1, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Sample in training mode, repeat the mean in evaluation mode.

        Args:
            f: features ``(B, F)``.
            S: samples per input, 1 or more.
            noise: standard normal draws ``(B, S, D)`` to use instead of torch's own; not used in
                evaluation mode, which draws nothing.

        Returns:
            ``z (B, S, D)``, ``mu (B, D)``, ``log_var (B, D)``.
        """
        check_samples(S)
        mu, log_var = self.get_params(f)
        if self.training:
            return reparametrize(mu, log_var, S, noise), mu, log_var
        return mu.unsqueeze(1).expand(-1, S, -1), mu, log_var


def check_samples(S: int) -> None:
    """Refuse a number of samples below 1."""
    if S < 1:
        raise ValueError(f"S, the number of latent samples, must be 1 or more, got {S}")


def reparametrize(mu: Tensor, log_var: Tensor, S: int = 1, noise: Tensor | None = None) -> Tensor:
    """``mu + exp(log_var / 2) * noise`` for S samples.

    Args:
        mu: means ``(B, D)``.
        log_var: log-variances ``(B, D)``.
        S: samples per input.
        noise: standard normal draws ``(B, S, D)``; drawn by torch where not given.

    Returns:
        Samples ``(B, S, D)``.
    """
    shape = (mu.shape[0], S, mu.shape[1])
    if noise is None:
        noise = torch.randn(shape, dtype=mu.dtype, device=mu.device)
    elif noise.shape != shape:
        raise ValueError(f"noise must have shape [B, S, D_z] = {list(shape)}, got {list(noise.shape)}")
    return mu.unsqueeze(1) + torch.exp(0.5 * log_var).unsqueeze(1) * noise
