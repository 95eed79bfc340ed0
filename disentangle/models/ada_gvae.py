"""Ada-GVAE (Locatello et al. 2020): a VAE on pairs that shares the latents that did not change."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from disentangle.models._group import GroupVAE, PairOutput, adaptive, averaged, pair_method


@dataclass(slots=True, repr=False)
class AdaGVAEOutput(PairOutput):
    """Output of a pair's pass: ``output1`` and ``output2``, each a `VAEOutput` with adapted posterior."""


class AdaGVAE(GroupVAE):
    """Adaptive Group VAE: wraps a `VAE` and groups the posteriors of a pair.

    Per pair and latent, delta = KL(q1 || q2); latents with delta below the middle of its range over
    the latents are shared: both get the average posterior. `forward` groups and samples in training
    and in evaluation mode. For single images use ``model.vae.encode`` and ``model.vae.decode``.

    Args:
        vae: the VAE whose encoder, sampling layer and decoder are used and trained.

    >>> import torch
    >>> from torch import nn
    >>> from disentangle import VAE
    >>> model = AdaGVAE(VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent_dim=2))
    >>> pair = torch.zeros(3, 6), torch.ones(3, 6)
    >>> model(pair).output2.mu.shape
    torch.Size([3, 2])
    >>> len(model.compute_loss(pair, model(pair)).diagnostics)
    5
    """

    common = staticmethod(averaged)
    output = AdaGVAEOutput

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
        found: AdaGVAEOutput = self._pass(x, S, noise, adaptive)
        return found


METHOD = pair_method("Ada-GVAE", "Locatello et al. 2020, arXiv 2002.02886", AdaGVAE)
