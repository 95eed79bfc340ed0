"""Tables of runs that never were, for comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

RUN = {
    "kind": "run", "dataset": "toy", "source": "drawn", "method": "beta_vae", "setting": "beta=4", "steps": 5,
    "batch": 4, "lr": 1e-3, "latents": 10, "precision": "fp32", "split": "", "status": "done",
    "metric_id": "mig@1", "score": "mig",
}  # fmt: skip


def table(
    values: Sequence[float], key: str = "a", seeds: Iterable[int] | None = None, **changed: Any
) -> pd.DataFrame:
    """Lines of a tidy table: a run per value, with seeds from 0."""
    seeds = range(len(values)) if seeds is None else seeds
    return pd.DataFrame([
        {**RUN, "run_key": f"{key}{s}", "seed": s, "value": v} | changed
        for s, v in zip(seeds, values, strict=True)
    ])  # fmt: skip
