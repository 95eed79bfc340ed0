"""GVAE with labels (Hosoya 2019): a VAE on pairs that is told which factor changed."""

from __future__ import annotations

from disentangle.models._group import LabelledVAE, averaged, pair_method


class GVAE(LabelledVAE):
    """Group VAE with labels: all latents but the one of the changed factor get the average posterior.

    The label of a pair is the number of its last changed factor, and the latent of that number keeps its
    two posteriors; so it takes as many latents as factors at least.

    Args:
        vae: the VAE whose encoder, sampling layer and decoder are used and trained.

    >>> import torch
    >>> from torch import nn
    >>> from disentangle import VAE
    >>> model = GVAE(VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent_dim=2))
    >>> pair = torch.zeros(3, 6), torch.ones(3, 6)
    >>> out = model(pair, label=torch.tensor([0, 1, 1]))
    >>> (out.output1.mu == out.output2.mu).tolist()
    [[False, True], [True, False], [True, False]]
    """

    common = staticmethod(averaged)


METHOD = pair_method("GVAE (labels)", "Hosoya 2019, arXiv 1809.02383", GVAE)
