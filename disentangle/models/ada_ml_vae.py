"""Ada-ML-VAE (Locatello et al. 2020): Ada-GVAE with the product of posteriors that are shared."""

from __future__ import annotations

from torch import Tensor

from disentangle.models._group import GroupVAE, PairOutput, adaptive, multiplied, pair_method


class AdaMLVAE(GroupVAE):
    """Adaptive Multi-Level VAE: shared latents, chosen as by `AdaGVAE`, get the product of the posteriors.

    Args:
        vae: the VAE whose encoder, sampling layer and decoder are used and trained.

    >>> import torch
    >>> from torch import nn
    >>> from disentangle import VAE
    >>> model = AdaMLVAE(VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent_dim=2))
    >>> model((torch.zeros(3, 6), torch.ones(3, 6))).output1.log_var.shape
    torch.Size([3, 2])
    """

    common = staticmethod(multiplied)

    def forward(
        self, x: tuple[Tensor, Tensor], S: int = 1, noise: tuple[Tensor, Tensor] | None = None
    ) -> PairOutput:
        """Encode both images in one pass, group, sample ``S`` times, decode in one pass; see `AdaGVAE`."""
        found: PairOutput = self._pass(x, S, noise, adaptive)
        return found


METHOD = pair_method("Ada-ML-VAE", "Locatello et al. 2020, arXiv 2002.02886", AdaMLVAE)
