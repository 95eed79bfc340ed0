"""Rows of runs that never were, for tables and pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MATRIX = {
    "id": "mig@1",
    "name": "mutual_information",
    "unit": "nats",
    "values": [[0.1, None], [1.23456, 0.0]],
}


def row_of(task: Any, mig: float | None, *, pictures: Iterable[str] = ()) -> dict[str, Any]:
    """The row of a run or a calibration representation of which mig is known; None is a diverged run."""
    run: dict[str, Any] = {"method": "noise", "dataset": task.dataset, "hyper": {}, "seed": 0}
    if hasattr(task, "hyper"):
        names = ("method", "dataset", "hyper", "seed", "steps", "batch", "lr", "latents")
        run = {name: getattr(task, name) for name in names}
    scores = [] if mig is None else [("mig", "mig@1", mig), ("dci_disentanglement", "dci_gbt@2", 0.5)]
    return {
        "format": 1, "kind": "run" if hasattr(task, "hyper") else "calibration", "key": task.key(),
        "study": "t", "run": run, "status": "diverged" if mig is None else "done",
        "data": {"name": task.dataset, "source": "drawn", "checksum": "sha256:0a1b", "note": "A & B <i>.",
                 "images": 10, "scored": 9, "factors": ["shape", "x"]},
        "scores": [{"name": n, "id": i, "value": v, "points": "9", "seconds": 1.0} for n, i, v in scores],
        "matrices": [MATRIX], "pictures": list(pictures), "model_sha256": "f" * 64,
        "provenance": {"version": "0", "commit": "abc" * 14, "dirty": False, "scikit-learn": "1",
                       "hardware": "a </script> machine"},
        "seconds": {"train": 1.0, "encode": 1.0},
    }  # fmt: skip
