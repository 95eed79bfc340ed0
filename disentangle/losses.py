"""Likelihoods, divergences and the result of a loss."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass, fields
from typing import Annotated

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

Weight = Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max)]  # of a term of a loss, as a setting


class LikelihoodType(enum.Enum):
    """How a decoder's output is read: a Gaussian's mean, or Bernoulli logits.

    Strings in any case name a member; anything else is a `ValueError`.

    >>> LikelihoodType("Bernoulli")
    <LikelihoodType.BERNOULLI: 'bernoulli'>
    """

    GAUSSIAN = "gaussian"
    BERNOULLI = "bernoulli"

    @classmethod
    def _missing_(cls, value: object) -> LikelihoodType:
        for member in cls:
            if isinstance(value, str) and value.lower() == member.value:
                return member
        raise ValueError(f"unknown likelihood {value!r}; expected 'gaussian' or 'bernoulli'")


def describe(value: object) -> str:
    """A tensor by shape and dtype instead of by value; anything else by its repr.

    >>> describe(torch.zeros(2, 3))
    'Tensor(shape=(2, 3), dtype=torch.float32)'
    """
    if isinstance(value, Tensor):
        return f"Tensor(shape={tuple(value.shape)}, dtype={value.dtype})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {describe(v)}" for k, v in value.items()) + "}"
    return repr(value)


@dataclass(slots=True, repr=False)
class ModelOutput:
    """Parent of all output classes: prints its tensors by shape and dtype."""

    def __repr__(self) -> str:
        inside = ", ".join(f"{f.name}={describe(getattr(self, f.name))}" for f in fields(self))
        return f"{type(self).__name__}({inside})"


@dataclass(slots=True, repr=False)
class LossResult(ModelOutput):
    """A loss and what it is made of.

    Attributes:
        objective: scalar to minimise, with gradients (nats).
        diagnostics: batch means as detached 0-dimensional tensors, so that a training step
            needs no host synchronisation; ``float(...)`` reads one.
    """

    objective: Tensor
    diagnostics: dict[str, Tensor]


def log_likelihood(
    x: Tensor, x_hat: Tensor, likelihood: str | LikelihoodType = LikelihoodType.GAUSSIAN
) -> Tensor:
    r"""Elementwise :math:`\log p(x \mid \hat x)` in nats.

    Gaussian: :math:`-(\hat x - x)^2 / 2` (unit variance, constant dropped; 0 is perfect).
    Bernoulli: :math:`x \log\sigma(\hat x) + (1 - x)\log\sigma(-\hat x)` with ``x_hat`` as logits.

    Args:
        x: targets; in [0, 1] for Bernoulli.
        x_hat: means or logits, of the shape of ``x``.
        likelihood: a `LikelihoodType` or its name in any case.

    Returns:
        A tensor of the shape of ``x``.

    Raises:
        ValueError: the shapes differ, or the likelihood is unknown.

    >>> log_likelihood(torch.zeros(2), torch.ones(2)).tolist()
    [-0.5, -0.5]
    """
    kind = LikelihoodType(likelihood)
    if x.shape != x_hat.shape:
        raise ValueError(
            f"x and x_hat must have one shape, got x {tuple(x.shape)} and x_hat {tuple(x_hat.shape)}"
        )
    if kind is LikelihoodType.GAUSSIAN:
        return -0.5 * (x_hat - x).square()
    return -F.binary_cross_entropy_with_logits(x_hat, x, reduction="none")


def kl_divergence_diag_gaussian(
    mu_q: Tensor,
    log_var_q: Tensor,
    mu_p: Tensor | None = None,
    log_var_p: Tensor | None = None,
    reduce_sum: bool = True,
) -> Tensor:
    r"""KL(q || p) of diagonal Gaussians in nats; 0 where q equals p, never negative.

    :math:`\tfrac12\sum_d\big(\log\sigma_p^2 - \log\sigma_q^2 +
    (\sigma_q^2 + (\mu_q-\mu_p)^2)/\sigma_p^2 - 1\big)_d`

    Args:
        mu_q: means of q, shape ``(..., D)``.
        log_var_q: log-variances of q, shape ``(..., D)``.
        mu_p: means of p; standard normal (0) where not given.
        log_var_p: log-variances of p; standard normal (0) where not given.
        reduce_sum: sum over the last axis.

    Returns:
        Shape ``(...)``, or ``(..., D)`` without the sum.

    Raises:
        ValueError: the shapes differ.

    >>> kl_divergence_diag_gaussian(torch.ones(1, 2), torch.zeros(1, 2)).item()
    1.0
    """
    for name, other in (("log_var_q", log_var_q), ("mu_p", mu_p), ("log_var_p", log_var_p)):
        if other is not None and other.shape != mu_q.shape:
            raise ValueError(
                f"{name} must have the shape of mu_q {tuple(mu_q.shape)}, got {tuple(other.shape)}"
            )
    shift = mu_q if mu_p is None else mu_q - mu_p
    if log_var_p is None:
        each = 0.5 * (log_var_q.exp() + shift.square() - 1.0 - log_var_q)
    else:
        log_ratio = log_var_q - log_var_p
        each = 0.5 * (log_ratio.exp() + shift.square() * torch.exp(-log_var_p) - 1.0 - log_ratio)
    return each.sum(-1) if reduce_sum else each


def beta_elbo(
    x: Tensor, x_hat: Tensor, mu: Tensor, log_var: Tensor, beta: float, likelihood: str | LikelihoodType
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch means of the ELBO (with beta), the reconstruction term and the KL (unweighted), in nats.

    Args:
        x: targets ``(B, ...)``.
        x_hat: reconstructions ``(B, ...)``, which counts as one sample, or ``(B, S, ...)``.
        mu: posterior means ``(B, D)``.
        log_var: posterior log-variances ``(B, D)``.
        beta: weight of the KL.
        likelihood: see `log_likelihood`.

    Raises:
        ValueError: ``x_hat`` fits neither shape, or the posterior is not ``(B, D)``.
    """
    if x_hat.shape == x.shape:
        x_hat = x_hat.unsqueeze(1)
    if x_hat.dim() != x.dim() + 1 or x_hat.shape[0] != x.shape[0] or x_hat.shape[2:] != x.shape[1:]:
        raise ValueError(
            f"x_hat must have shape [B, ...] = {list(x.shape)} or [B, S, ...] = "
            f"{[x.shape[0], 'S', *x.shape[1:]]}, got {list(x_hat.shape)}"
        )
    if mu.dim() != 2 or mu.shape[0] != x.shape[0]:
        raise ValueError(f"mu must have shape [B, D_z] with B = {x.shape[0]}, got {list(mu.shape)}")
    each = log_likelihood(x.unsqueeze(1).expand_as(x_hat), x_hat, likelihood)  # x stays a view
    reconstruction = each.sum(dim=tuple(range(2, each.dim()))).mean() if each.dim() > 2 else each.mean()
    kl = kl_divergence_diag_gaussian(mu, log_var).mean()
    return reconstruction - beta * kl, reconstruction, kl


def full(x: Tensor) -> Tensor:
    """In float32, or in double precision if it is that: what is summed is not rounded to bfloat16.

    >>> full(torch.ones(2, dtype=torch.bfloat16)).dtype, full(torch.ones(2, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return x if x.dtype == torch.float64 else x.float()


MOST = 1e15  # standard deviations; whatever is further off has no density and no gradient
LEAST = -60.0  # log-variance that a density is computed with


def total_correlation(z: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    r"""The minibatch-weighted estimate of the total correlation of codes, without its constants, in nats.

    :math:`\frac1B \sum_j \big[ \log \sum_i \prod_l q(z_{jl} \mid x_i) - \sum_l \log \sum_i q(z_{jl} \mid x_i)
    \big]`. With the constants of N images it would be larger by :math:`(D - 1) \log (N B)`. So its value is
    not the total correlation, and may be negative; its gradient is that one's. Log-variances below -60 count
    as -60 and distances are clipped at 1e15 standard deviations, so that all gradients are finite.

    Args:
        z: a sample of each posterior ``(B, D)``.
        mu: their means ``(B, D)``.
        log_var: their log-variances ``(B, D)``.

    Returns:
        A scalar.

    Source: Chen et al. 2018, arXiv 1802.04942, appendix C.1; as in the code of Locatello et al. 2019.

    >>> one = torch.zeros(1, 3)
    >>> total_correlation(one, one, one).item()  # a single posterior with independent dimensions
    0.0
    """
    z, mu, log_var = full(z), full(mu), full(log_var)
    scale = torch.exp(-0.5 * log_var.clamp(min=LEAST))
    shifts = ((z.unsqueeze(1) - mu) * scale).clamp(-MOST, MOST)  # (of z, of the posterior, D)
    logs = -0.5 * (shifts.square() + log_var.clamp(min=LEAST))
    return (logs.sum(2).logsumexp(1) - logs.logsumexp(1).sum(1)).mean()
