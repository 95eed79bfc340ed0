"""ML-VAE with labels (Bouchacourt et al. 2018): as GVAE with labels, with the product of the posteriors."""

from __future__ import annotations

from disentangle.models._group import LabelledVAE, multiplied, pair_method


class MLVAE(LabelledVAE):
    """Multi-Level VAE with labels: all latents but that of the changed factor get the posteriors' product.

    The shared variance is twice that of the product, as in the code of Locatello et al. 2020. Labels are
    those of `GVAE`.

    Args:
        vae: the VAE whose encoder, sampling layer and decoder are used and trained.

    >>> import torch
    >>> from torch import nn
    >>> from disentangle import VAE
    >>> model = MLVAE(VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent_dim=2))
    >>> out = model((torch.zeros(3, 6), torch.ones(3, 6)), label=torch.tensor([0, 1, 1]))
    >>> (out.output1.log_var == out.output2.log_var).tolist()
    [[False, True], [True, False], [True, False]]
    """

    common = staticmethod(multiplied)


METHOD = pair_method("ML-VAE (labels)", "Bouchacourt et al. 2018, arXiv 1705.08841", MLVAE)
