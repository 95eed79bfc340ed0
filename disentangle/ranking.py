"""Rank trained models of one setting without labels: UDR of their folders."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import torch

from disentangle import find
from disentangle.encode import batches, evaluation_rows
from disentangle.errors import InputError
from disentangle.job import Trained
from disentangle.provenance import provenance
from disentangle.run import FORMAT, Run, digest
from disentangle.train import load_trained

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from disentangle.data import FactorData
    from disentangle.metrics.udr import UDR

POINTS = 10_000


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """The task of comparing the trained models of one setting by UDR; a study's third kind, beside runs.

    Attributes:
        runs: all trained runs of the setting, two or more.
    """

    runs: tuple[Run, ...]

    @property
    def dataset(self) -> str:
        """The data set of the runs."""
        return self.runs[0].dataset

    @property
    def source(self) -> str:
        """Where its images come from."""
        return self.runs[0].source

    @property
    def seed(self) -> int:
        """The smallest seed of the runs."""
        return min(run.seed for run in self.runs)

    def setting(self) -> dict[str, Any]:
        """What the runs share: all but the seed."""
        shared: dict[str, Any] = msgspec.to_builtins(self.runs[0].complete())
        del shared["seed"]
        if not shared["split"]:  # as it was before there were splits
            del shared["split"]
        return shared

    def key(self) -> str:
        """A hash of the setting, 16 hexadecimal digits: a row of more seeds takes the place of its last."""
        return digest({"format": FORMAT, "ranking": "udr", "setting": self.setting()})

    def label(self) -> str:
        """For people."""
        return f"udr of {len(self.runs)} models of {self.runs[0].label()}"

    def is_complete(self, row: dict[str, Any] | None) -> bool:
        """Whether a row compares just these runs."""
        return row is not None and set(row.get("of", ())) == {run.key() for run in self.runs}


def ranked(task: Ranking, study: str, models: list[Trained], data: FactorData) -> dict[str, Any]:
    """The row of a ranking: under ``of`` the UDR of each run, by its key.

    Args:
        task: what is compared.
        study: the study's name.
        models: the trained runs, in the task's order.
        data: their data set, on the models' device.
    """
    began = time.perf_counter()
    result, named = compare(models, data)
    keys = [run.key() for run in task.runs]
    return {
        "format": 1,
        "kind": "ranking",
        "key": task.key(),
        "study": study,
        "run": task.setting(),
        "data": {"name": data.name, "source": data.source, "checksum": data.checksum, "note": data.note},
        "status": "done",
        "scores": [],
        "id": named,
        "of": {key: float(value) for key, value in zip(keys, result.model_scores, strict=True)},
        "pictures": [],
        "provenance": provenance(str(data.device)),
        "seconds": {"score": round(time.perf_counter() - began, 3)},
    }


def compare(
    models: list[Trained],
    data: FactorData,
    rows: int | None = None,
    correlation: Literal["lasso", "spearman"] = "lasso",
) -> tuple[UDR, str]:
    """UDR of models of one setting on the same random images, and the metric's id; see `rank`."""
    from disentangle.metrics.udr import udr

    rows = min(POINTS, len(data)) if rows is None else rows
    chosen = evaluation_rows(data, rows)
    parts = [_means_and_kl(trained, data, chosen) for trained in models]
    result = udr([z for z, _ in parts], kl=[kl for _, kl in parts], correlation=correlation)
    return result, find.get("metric", "udr").named({"correlation": correlation, "rows": rows})


def rank(
    folders: Sequence[str | Path],
    *,
    rows: int | None = None,
    correlation: Literal["lasso", "spearman"] = "lasso",
    device: str = "auto",
) -> tuple[list[Trained], UDR, str]:
    """The models in the folders of runs that differ in their seed only, and their UDR.

    Codes are posterior means of the same random images for all; a code's KL is its mean over them.

    Args:
        folders: two or more folders of finished runs.
        rows: how many random images of the grid; 10,000 where not given, or all if it has fewer.
        correlation: see `disentangle.metrics.udr.udr`.
        device: where to encode.

    Returns:
        The models, a result whose ``model_scores`` are in the same order, and the metric's id.

    Raises:
        InputError: fewer than two folders, one twice, runs of different settings, or a method without a
            Gaussian posterior.
    """
    for folder in folders:
        if not Path(folder).is_dir():
            raise InputError(f"{folder} is no folder of a run; UDR compares runs made by disentangle train")
    models, data = list[Trained](), None
    for folder in folders:
        trained, own = load_trained(Path(folder), device)
        data = data or own  # a data set may fill much of a device: one copy is enough
        models.append(trained)
    _check_one_setting(models, list(map(str, folders)))
    assert data is not None
    result, named = compare(models, data, rows, correlation)
    return models, result, named


def _check_one_setting(models: list[Trained], folders: list[str]) -> None:
    if len(models) < 2:
        raise InputError(f"UDR compares models: {len(models)} given; expected at least 2 folders of runs")
    first = models[0].run
    if find.get("method", first.method).posterior is None:
        raise InputError(f"{folders[0]}: UDR needs a Gaussian posterior, which {first.method} has not")
    for model, folder in zip(models[1:], folders[1:], strict=True):
        for name, value in msgspec.to_builtins(first).items():
            if name != "seed" and (other := getattr(model.run, name)) != value:
                raise InputError(
                    f"{folder} has {name} {other!r} and {folders[0]} {value!r}; UDR compares runs that "
                    "differ in their seed only"
                )
    seeds = [model.run.seed for model in models]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"the runs have the seeds {seeds}; expected each once")


@torch.inference_mode()
def _means_and_kl(
    trained: Trained, data: FactorData, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Posterior means (N, D) and each code's mean KL to the standard normal prior (D,), in nats."""
    posterior: Any = find.get("method", trained.run.method).posterior
    means, kl = [], torch.zeros(trained.run.latents, dtype=torch.float64)
    for _, images in batches(trained.model, data, rows):
        mu, log_var = (part.cpu().double() for part in posterior(trained.model, images))
        means.append(mu.float().numpy())
        kl += (0.5 * (mu**2 + log_var.exp() - log_var - 1)).sum(dim=0)
    return np.concatenate(means), np.asarray(kl.numpy() / len(rows))
