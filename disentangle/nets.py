"""The encoder and decoder of both studies (PROTOCOL: Locatello et al. 2019, 2020), for 64x64 images."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from disentangle.convolutions import Conv2d, ConvTranspose2d, ReLU
from disentangle.errors import InputError

FEATURES = 256  # what the encoder returns; the posterior's two linear heads read it
SIDE = 64


def encoder(channels: int = 1) -> nn.Sequential:
    """Images ``(B, channels, 64, 64)`` to features ``(B, 256)``.

    With the heads of `VAE` for 10 latents it has 309,204 parameters at one channel, as the reference.
    """
    return nn.Sequential(
        Conv2d(channels, 32, 4, stride=2, padding=1),
        ReLU(inplace=True),
        Conv2d(32, 32, 4, stride=2, padding=1),
        ReLU(inplace=True),
        Conv2d(32, 64, 2, stride=2),
        ReLU(inplace=True),
        Conv2d(64, 64, 2, stride=2),
        ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, FEATURES),
        ReLU(inplace=True),
    )


def decoder(channels: int = 1, latents: int = 10) -> nn.Sequential:
    """Codes ``(B, latents)`` to Bernoulli logits ``(B, channels, 64, 64)``.

    It has 381,313 parameters at one channel and 10 latents, as the reference.
    """
    return nn.Sequential(
        nn.Linear(latents, 256),
        ReLU(inplace=True),
        nn.Linear(256, 64 * 4 * 4),
        ReLU(inplace=True),
        nn.Unflatten(1, (64, 4, 4)),
        ConvTranspose2d(64, 64, 4, stride=2, padding=1),
        ReLU(inplace=True),
        ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        ReLU(inplace=True),
        ConvTranspose2d(32, 32, 4, stride=2, padding=1),
        ReLU(inplace=True),
        ConvTranspose2d(32, channels, 4, stride=2, padding=1),
    )


@torch.no_grad()
def initialise(model: nn.Module, rng: np.random.Generator) -> None:
    """Set weights to Glorot-uniform and biases to zero, as the reference, from ``rng`` alone.

    The draws are NumPy's, in the order of ``named_parameters``, so that a seed gives the same
    weights on every device. Lazy layers must be materialised before. A module with a method
    ``initialise()`` sets its own parameters by it instead.

    Raises:
        InputError: a parameter is neither a weight (2 or more axes) nor a bias (1 axis).
    """
    own = set[str]()
    for prefix, module in model.named_modules():
        if callable(ready := getattr(module, "initialise", None)):
            ready()
            own |= {f"{prefix}.{name}".strip(".") for name, _ in module.named_parameters(recurse=False)}
    for name, parameter in model.named_parameters():
        if name in own:
            continue
        if parameter.dim() >= 2:
            fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(parameter)
            bound = (6 / (fan_in + fan_out)) ** 0.5
            values = rng.uniform(-bound, bound, tuple(parameter.shape)).astype(np.float32)
            parameter.copy_(torch.from_numpy(values))
        elif name.endswith("bias"):
            parameter.zero_()
        else:
            raise InputError(f"no initialisation is known for the parameter {name} {tuple(parameter.shape)}")
