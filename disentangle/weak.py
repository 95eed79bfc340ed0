"""Weakly supervised reconstruction loss: how well a model trained on pairs rebuilds them, without labels."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from disentangle import draws, find
from disentangle.data import FactorData
from disentangle.errors import InputError
from disentangle.memory import keep_freed_memory
from disentangle.metrics._points import check_count
from disentangle.precision import computing_in
from disentangle.run import Run
from disentangle.sampling import Sampler
from disentangle.score import Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "weak_reconstruction"
ID = f"{NAME}@1"
PAIRS = 2048
BATCH = 64  # on every device: the mean is of the same batches everywhere
TERMS = ("log_likelihood_x1", "log_likelihood_x2")


def weak_reconstruction(run: Run, model: nn.Module, data: FactorData, pairs: int = PAIRS) -> Score:
    """The reconstruction loss of a model on weakly supervised pairs, for choosing among models.

    With z_i drawn from the posterior of x_i that the method's loss uses (Ada-GVAE: after grouping)::

        mean over pairs of -(log p(x1 | z1) + log p(x2 | z2)) / 2

    in nats per image; the method's loss gives both terms, the KL and its weight are left out. Lower is
    better, a perfect reconstruction of binary images is 0; below 0 does not occur with the Bernoulli
    likelihood. The pairs follow the run's own ``k`` and ``pairs``, so that no label is used which
    training did not use. Neither they nor the noise depend on the run's seed: all models of a setting see
    the same. Settings that differ in ``k`` or ``pairs`` are scored on other pairs, and the difference of
    their losses is then not one of the models alone.

    Args:
        run: what the model was trained as; its method trains on pairs.
        model: the model; it is put in evaluation mode.
        data: the data set, on the model's device.
        pairs: how many; another number than `PAIRS` stands in the id.

    Raises:
        InputError: the method does not train on pairs, or its loss does not tell both log-likelihoods; the
            data cannot give such pairs; or ``pairs`` is no whole number from 1.

    Source: Locatello et al. 2020, "Weakly-Supervised Disentanglement Without Compromises", who propose to
    choose by this loss. Departure: theirs is of training's batches; here fixed pairs are drawn anew, with
    one sample of noise per image, so that two models can be compared that saw other batches.

    >>> from disentangle.build import build_model
    >>> run = Run(method="ada_gvae", dataset="toy")
    >>> data = find.get("dataset", "toy").load()
    >>> score = weak_reconstruction(run, build_model(run, data), data, pairs=64)
    >>> score.id, score.points, 2000 < score.value < 4000  # untrained: about log 2 for each of 4096 pixels
    ('weak_reconstruction@1[pairs=64]', '64 pairs', True)
    """
    check_count(pairs, "pairs")
    method, settings = find.get("method", run.method), run.settings()
    if not method.pairs:
        raise InputError(
            f"{NAME} is a loss on weakly supervised pairs, and {run.method} trains on single images; "
            "expected a method that trains on pairs"
        )
    began, total = time.perf_counter(), 0.0
    index, noise, label = _drawn(run, data, pairs)
    keep_freed_memory()
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # The arithmetic of encoding, whatever the run was trained in.
    with torch.inference_mode(), computing_in("fp32", data.device):
        for start in range(0, pairs, BATCH):
            part = slice(start, start + BATCH)
            x1, x2 = (data.images(i).contiguous(memory_format=torch.channels_last) for i in index[:, part])
            e1, e2 = (torch.from_numpy(e).to(data.device).unsqueeze(1) for e in noise[:, part])
            own = {"label": torch.from_numpy(label[part]).to(data.device)} if "label" in method.needs else {}
            told = method.loss(model, (x1, x2), (e1, e2), settings, **own).diagnostics
            total -= len(x1) * sum(_terms(told, run.method)) / 2
    name = ID if pairs == PAIRS else f"{ID}[pairs={pairs}]"
    return Score(NAME, name, total / pairs, f"{pairs} pairs", time.perf_counter() - began)


def _drawn(
    run: Run, data: FactorData, pairs: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """The images' indices ``(2, pairs)``, their noise ``(2, pairs, latents)`` and the pairs' labels.

    None depends on the run's seed.
    """
    settings, part = run.settings(), zlib.crc32(NAME.encode())
    sampler, rng = Sampler(data.with_split(run.split)), draws.generator(0, "score", part=part)
    drawn = sampler.pairs(pairs, settings.k, settings.pairs, rng)
    index = sampler.any_image(np.stack([drawn.first, drawn.second]), rng)
    # A counter of its own: how much the pairs draw depends on k, and the noise must not.
    rng = draws.generator(0, "score", step=1, part=part)
    noise = rng.standard_normal((pairs, 2, run.latents), dtype=np.float32)
    return index, noise.transpose(1, 0, 2), drawn.label


def _terms(told: dict[str, torch.Tensor], method: str) -> list[float]:
    """Both log-likelihoods of a batch, as Python's floats, whose sum over batches does not round."""
    missing = [name for name in TERMS if name not in told]
    if missing:
        raise InputError(
            f"{method}'s loss has the diagnostics {', '.join(told)}; {NAME} needs {' and '.join(missing)} too"
        )
    return [float(told[name]) for name in TERMS]
