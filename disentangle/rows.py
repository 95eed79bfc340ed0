"""Rows: one JSON file per run, written whole; tables are built from these alone."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from disentangle.calibrate import Calibration
from disentangle.checkpoint import set_aside
from disentangle.data import FactorData
from disentangle.errors import InputError, convert, cut
from disentangle.files import reading, write_bytes
from disentangle.finished import Result
from disentangle.provenance import SOFTWARE, provenance
from disentangle.row_form import FORMS, Calibrated
from disentangle.rules import by_id
from disentangle.run import Run
from disentangle.score import Score

FORMAT = 1
Row = dict[str, Any]


def make_row(
    task: Run | Calibration,
    study: str,
    data: FactorData,
    rows: int | None,
    scores: Iterable[Score],
    seconds: dict[str, float],
    *,
    result: Result | None = None,
    pictures: Iterable[str] = (),
) -> Row:
    """The record of one run or calibration representation.

    Args:
        task: what was done.
        study: the study's name.
        data: on what.
        rows: how many images were scored; None is all.
        scores: what was found.
        seconds: what it took.
        result: of a run, how its training ended. Its provenance is the row's; a score that other software
            computed says so.
        pictures: file names in the study's folder.
    """
    now = provenance(str(data.device))
    origin = now if result is None else result.provenance
    own = {} if all(now[k] == origin.get(k) for k in SOFTWARE) else {"provenance": now}
    scores, described = list(scores), msgspec.to_builtins(task)
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
            "factors": list(data.factor_names),
        },
        "status": "done" if result is None else result.status,
        "step": 0 if result is None else result.step,
        "values": {} if result is None else result.values,
        "scores": [{**_plain(s), **own} for s in scores],
        "matrices": [
            {
                "id": s.id,
                "name": name,
                "unit": by_id()[s.id.partition("@")[0]].matrices[name],
                "values": [[_finite(v) for v in line] for line in values],
            }
            for s in scores
            for name, values in s.matrices.items()
        ],
        "pictures": list(pictures),
        "model_sha256": "" if result is None else result.model_sha256,
        "provenance": {**origin, "stack": 1 if result is None else result.stack},
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
    }


def _plain(score: Score) -> dict[str, Any]:
    """A score without its matrices, which have a place of their own."""
    return {k: v for k, v in asdict(score).items() if k != "matrices"} | {"value": _finite(score.value)}


def _finite(value: float) -> float | None:
    """What is not a number is kept as null, which every JSON reader knows."""
    return value if math.isfinite(value) else None


def extended(old: Row, new: Row) -> Row:
    """A row with the scores and matrices of a newer one added; the rest is kept."""
    added = {name: [*old.get(name, []), *new[name]] for name in ("scores", "matrices", "pictures")}
    return {**old, **added}


def row_path(folder: Path, key: str) -> Path:
    """Where a study's folder keeps a row."""
    return folder / "rows" / f"{key}.json"


def numbers(row: Row) -> Row:
    """A row without what clocks say: the same for every road that leads to it.

    >>> numbers({"key": "a", "seconds": {"train": 3.1}, "scores": [{"value": 0.5, "seconds": 2.0}]})
    {'key': 'a', 'scores': [{'value': 0.5}]}
    """
    scores = [{k: v for k, v in s.items() if k != "seconds"} for s in row["scores"]]
    return {**{k: v for k, v in row.items() if k != "seconds"}, "scores": scores}


def write_row(folder: Path, row: Row, scratch: Path | None = None) -> Path:
    """Write a row whole to ``folder/rows/<key>.json``, by way of a file in ``scratch``."""
    path = row_path(folder, row["key"])
    write_bytes(path, (json.dumps(row, indent=1, allow_nan=False) + "\n").encode(), scratch)
    return path


def read_row(path: Path) -> Row | None:
    """One row; None where the file is absent or is no row.

    A damaged file is set aside beside itself, so that the run is done again and nothing is lost.
    """
    try:
        return stored_row(path)
    except FileNotFoundError:
        return None
    except InputError as error:
        tqdm.write(f"{set_aside(path, error)}; the run is done again")
        return None


def stored_row(path: Path) -> Row:
    """One row, and nothing is done about a file that is none.

    Raises:
        InputError: the file is no row of its name, or a field is not as `disentangle.row_form` has it.
        FileNotFoundError: it is not there.
    """
    try:
        row = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{path} is no row of a study: {error}") from error
    what = f"{path} is no row of a study:"
    given: Row = convert(row, dict[str, Any], what)
    if given.get("format") != FORMAT:
        found = cut(repr(given.get("format")))
        raise InputError(f"{what} format is {found}; expected {FORMAT}, that of this version")
    convert(given, FORMS.get(str(given.get("kind")), Calibrated), what)
    if given["key"] != path.stem:
        raise InputError(f"{what} key is {cut(repr(given['key']))}; expected the file's name")
    return given


def is_complete(row: Row | None, metric_ids: Iterable[str]) -> bool:
    """Whether a row holds every metric that the study asks for, or says that its run diverged."""
    if row is None:
        return False
    return row["status"] == "diverged" or set(metric_ids) <= {s["id"] for s in row["scores"]}


def read_rows(folder: Path) -> list[Row]:
    """All rows of a study's folder, in the order of their keys.

    What is no row is left out, with a warning, and stays as it is; a name that begins with a dot, as other
    systems put beside files, is not looked at.
    """
    found, place = [], folder / "rows"
    if place.exists() and not place.is_dir():
        raise InputError(f"{place} is a file; expected the folder of a study's rows")
    for path in sorted(place.glob("*.json")):
        if not path.name.startswith("."):
            try:
                with reading(path):
                    found.append(stored_row(path))
            except InputError as error:
                tqdm.write(f"warning: {error}. It is left out", file=sys.stderr)
    return found
