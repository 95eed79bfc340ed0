"""Rows: one JSON file per run, written whole; tables are built from these alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from disentangle.calibrate import Calibration
from disentangle.data import FactorData
from disentangle.files import write_bytes
from disentangle.provenance import provenance
from disentangle.run import Run
from disentangle.score import Score

FORMAT = 1
Row = dict[str, Any]
# Fields that a table reads; a file without one of them is no row.
FIELDS = ("format", "kind", "key", "study", "run", "data", "status", "scores", "provenance", "seconds")


def make_row(
    task: Run | Calibration,
    study: str,
    data: FactorData,
    rows: int | None,
    scores: Iterable[Score],
    seconds: dict[str, float],
    *,
    status: str = "done",
    step: int = 0,
    values: dict[str, float] | None = None,
    pictures: Iterable[str] = (),
    stack: int = 1,
) -> Row:
    """The record of one run or calibration representation."""
    described = msgspec.to_builtins(task)
    if isinstance(task, Calibration):
        described = {"method": described.pop("name"), "hyper": {}, **described}
    return {
        "format": FORMAT,
        "kind": "run" if isinstance(task, Run) else "calibration",
        "key": task.key(),
        "study": study,
        "run": described,
        "data": {
            "name": data.name,
            "source": data.source,
            "checksum": data.checksum,
            "note": data.note,
            "images": len(data),
            "scored": rows or len(data),
        },
        "status": status,
        "step": step,
        # JSON has no NaN: a diverged run's values are kept as text.
        "values": {k: v if math.isfinite(v) else str(v) for k, v in (values or {}).items()},
        # A score that is not a number is kept as null.
        "scores": [{**asdict(s), "value": s.value if math.isfinite(s.value) else None} for s in scores],
        "pictures": list(pictures),
        "provenance": {**provenance(str(data.device)), "stack": stack},
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
    }


def extended(old: Row, new: Row) -> Row:
    """A row with the scores of a newer one added; they carry their own provenance, the rest is kept."""
    added = [{**score, "provenance": new["provenance"]} for score in new["scores"]]
    return {**old, "scores": [*old["scores"], *added]}


def write_row(folder: Path, row: Row) -> Path:
    """Write a row whole to ``folder/rows/<key>.json``."""
    path = folder / "rows" / f"{row['key']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(row, indent=1, allow_nan=False) + "\n").encode())
    return path


def read_row(path: Path) -> Row | None:
    """One row; None where the file is absent or is no row.

    A damaged file is set aside beside itself, so that the run is done again and nothing is lost.
    """
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError):
        row = None
    if isinstance(row, dict) and all(f in row for f in FIELDS) and row["key"] == path.stem:
        return row
    path.replace(path.with_suffix(".damaged"))
    return None


def is_complete(row: Row | None, metric_ids: Iterable[str]) -> bool:
    """Whether a row holds every metric that the study asks for, or says that its run diverged."""
    if row is None:
        return False
    return row["status"] == "diverged" or set(metric_ids) <= {s["id"] for s in row["scores"]}


def read_rows(folder: Path) -> list[Row]:
    """All rows of a study's folder, in the order of their keys."""
    found = (read_row(path) for path in sorted((folder / "rows").glob("*.json")))
    return [row for row in found if row is not None]
