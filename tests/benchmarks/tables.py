"""How benchmarks keep what they measured, and why something was not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def save(frame: pd.DataFrame, csv: Path | None) -> None:
    """Write a table, if it is to be written, and the folders that it needs."""
    if csv:
        csv.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(csv, index=False, float_format="%.6g")


def reason(error: Exception) -> str:
    """An error on a line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
