"""An autoencoder whose codes are put in other coordinates once it is trained: for `ae_pca` and `ae_ica`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from disentangle.draws import generator
from disentangle.encode import batches
from disentangle.find import Method
from disentangle.losses import LikelihoodType, LossResult
from disentangle.models.ae import AE, AEDecodeOutput, AEEncodeOutput, AEOutput, codes_of, images_of
from disentangle.precision import computing_in
from disentangle.sampling import Sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from disentangle.data import FactorData
    from disentangle.run import Run

    Floats = NDArray[np.float64]

IMAGES = 10_000  # whose codes the coordinates are fitted to
# Relative to the largest code: in float32 a latent that never changes still differs by as much.
CONSTANT = 1e-6
SMALLEST = float(np.finfo(np.float32).tiny)  # whose inverse is a number


@dataclass(frozen=True)
class Coordinates:
    """Where codes z are read: ``c = ((z - mean) @ basis / scale) @ rotation``.

    Two orthogonal matrices and a scale instead of their product: so the way back needs no inverse of an
    ill-conditioned matrix, and loses nothing to rounding.

    Attributes:
        mean: ``(D,)``.
        basis: orthogonal ``(D, D)``, a direction in each column.
        scale: ``(D,)``; 0 for a direction in which codes do not vary, whose coordinate is 0.
        rotation: orthogonal ``(D, D)``.
    """

    mean: Floats
    basis: Floats
    scale: Floats
    rotation: Floats


def principal(codes: Floats) -> tuple[Coordinates, Floats]:
    """The principal axes of codes ``(N, D)``, and the standard deviation ``(D,)`` along each (over N).

    Axes come by falling deviation, each with its largest entry positive. Where the deviation is less than
    1e-6 of the largest code in size, codes are constant but for rounding: deviation and scale are 0.

    >>> axes, deviations = principal(np.array([[1.0, 2], [3, 2], [1, 2], [3, 2]]))
    >>> axes.basis[:, 0].tolist(), axes.scale.tolist(), deviations.tolist()
    ([1.0, 0.0], [1.0, 0.0], [1.0, 0.0])
    """
    mean = codes.mean(0)
    centred = codes - mean
    variances, basis = np.linalg.eigh(centred.T @ centred / len(codes))
    deviations, basis = np.sqrt(np.maximum(variances[::-1], 0)), basis[:, ::-1]
    basis = basis * signs(basis)
    deviations[deviations <= max(CONSTANT * np.abs(codes).max(), SMALLEST)] = 0
    return Coordinates(mean, basis, np.sign(deviations), np.eye(len(mean))), deviations


def signs(columns: Floats) -> Floats:
    """The sign of each column's largest entry ``(D,)``, so that an axis has one direction only."""
    largest = np.take_along_axis(columns, np.abs(columns).argmax(0)[None], axis=0)[0]
    return np.where(largest < 0, -1.0, 1.0)


class LinearMap(nn.Module):
    """`Coordinates` as parameters that are not trained; the identity until they are set.

    Args:
        latent_dim: the number of latents D.

    >>> codes = torch.randn(3, 2)
    >>> torch.equal(LinearMap(2)(codes), codes)
    True
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        line, square = torch.empty(latent_dim), torch.empty(latent_dim, latent_dim)
        self.mean = nn.Parameter(line, requires_grad=False)
        self.basis = nn.Parameter(square, requires_grad=False)
        self.scale = nn.Parameter(line.clone(), requires_grad=False)
        self.rotation = nn.Parameter(square.clone(), requires_grad=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """The identity."""
        one = np.eye(len(self.mean))
        self.set(Coordinates(np.zeros(len(one)), one, np.ones(len(one)), one))

    @torch.no_grad()
    def set(self, coordinates: Coordinates) -> None:
        """Take other coordinates."""
        for name, parameter in self.named_parameters():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(getattr(coordinates, name))))

    def forward(self, codes: Tensor) -> Tensor:
        """Coordinates ``(B, D)`` of codes ``(B, D)``."""
        inverse = torch.where(self.scale > 0, 1 / self.scale, 0)
        return ((codes - self.mean) @ self.basis * inverse) @ self.rotation

    def back(self, coordinates: Tensor) -> Tensor:
        """Codes ``(B, D)`` of coordinates ``(B, D)``."""
        return (coordinates @ self.rotation.T * self.scale) @ self.basis.T + self.mean


class LinearCodesAE(AE):
    """An `AE` that is trained as such, and whose codes are then read in other coordinates.

    `encode` and `decode` are of the coordinates; `forward`, the training pass, is that of the AE and knows
    nothing of them. Until `LinearMap.set` both are the same.

    Args:
        encoder: maps ``x`` to codes ``[B, latent_dim]``.
        decoder: maps codes to ``x_hat``.
        latent_dim: the number of latents.

    >>> _ = torch.manual_seed(0)
    >>> model, x = LinearCodesAE(nn.Linear(6, 2), nn.Linear(2, 6), 2), torch.randn(50, 6)
    >>> before = model(x).x_hat
    >>> model.map.set(principal(model.encode(x).z.double().numpy())[0])
    >>> c = model.encode(x).z
    >>> bool(torch.cov(c.T)[0, 1].abs() < 1e-5), torch.allclose(model.decode(c).x_hat, before, atol=1e-5)
    (True, True)
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, latent_dim: int) -> None:
        super().__init__(encoder, decoder)
        self.map = LinearMap(latent_dim)

    def _encode(self, x: Tensor) -> AEEncodeOutput:
        return AEEncodeOutput(z=self.map(self.encoder(x)))

    def _decode(self, z: Tensor) -> AEDecodeOutput:
        return AEDecodeOutput(x_hat=self.decoder(self.map.back(z)))

    def forward(self, x: Tensor) -> AEOutput:
        """The training pass of the AE, with gradients; ``z`` are the encoder's own codes."""
        z = self.encoder(x)
        return AEOutput(x_hat=self.decoder(z), z=z)


@torch.no_grad()
def codes_to_fit(model: LinearCodesAE, data: FactorData, run: Run) -> Floats:
    """The encoder's codes ``(IMAGES, D)`` of images drawn as training draws them, from the run's seed.

    A random part of images is the fixed one that scores have.

    They are the encoder's own, whatever the map is: to fit twice is to fit once. What is held out of
    training is not fitted to either.
    """
    drawn = Sampler(data).images(IMAGES, generator(run.seed, "init", part=1))
    rows, places = np.unique(drawn, return_inverse=True)  # of a small data set many are drawn twice
    with computing_in("fp32", data.device):
        found = [model.encoder(images).double().cpu().numpy() for _, images in batches(model, data, rows)]
    return np.asarray(np.concatenate(found)[places])


Find = Callable[["Floats", "Run"], Coordinates]


def linear_codes_method(title: str, paper: str, settings: type[msgspec.Struct], find: Find) -> Method:
    """The `Method` of an `AE` whose codes are put in the coordinates that ``find(codes, run)`` gives."""

    def fit(model: LinearCodesAE, data: FactorData, run: Run) -> None:
        codes = codes_to_fit(model, data, run)
        # The last step's update may have spoiled the weights; then the model is that of the plain AE.
        if np.isfinite(codes).all():
            model.map.set(find(codes, run))

    return Method(
        title=title, paper=paper, settings=settings, build=_build, loss=_loss, represent=codes_of,
        decode=images_of, fit=fit,
    )  # fmt: skip


def _build(encoder: nn.Module, decoder: nn.Module, latents: int, settings: object) -> LinearCodesAE:
    return LinearCodesAE(nn.Sequential(encoder, nn.LazyLinear(latents)), decoder, latents)


def _loss(model: LinearCodesAE, images: Tensor, noise: Tensor, settings: object) -> LossResult:
    return model.compute_loss(images, model(images), likelihood=LikelihoodType.BERNOULLI)
