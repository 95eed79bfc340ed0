"""What the leaderboard's page knows of single runs: scores, matrices, provenance and pictures, as JSON."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle.board import UNIT, headlines, told

if TYPE_CHECKING:
    import pandas as pd

    from disentangle.rows import Row
    from disentangle.table import Tables

MANY = 2000  # runs, from which on a page has no matrices and only the leaderboard's scores
QUALITY = 75  # of stills as WebP: a third of the PNG's size, and no difference that one sees


def run_data(tables: Tables) -> tuple[dict[str, Any], list[str]]:
    """Everything of the single runs; what many share, such as software and data, is there once.

    Returns:
        ``columns`` (score, metric id, whether it is a headline), ``points``, ``origins`` (software and
        hardware), ``data``, and ``runs`` by their keys, which refer to these by number; and, in sentences,
        what is left out of a page of very many runs, so that it can be opened.
    """
    shared = {"columns": _Numbered(), "points": _Numbered(), "origins": _Numbered(), "data": _Numbered()}
    heads = headlines(tables.joined.studies)
    rows = [row for row in tables.joined.rows if row["kind"] != "ranking"]
    many = len(rows) > MANY
    values = _values(tables.frame, shared, heads, many)
    frame = tables.frame.drop_duplicates("run_key").set_index("run_key")
    about: Any = frame.to_dict("index")  # whose keys are texts, which the types do not say
    rows = [row | {"matrices": []} for row in rows] if many else rows
    runs = {row["key"]: _run(row, about[row["key"]], values.get(row["key"], []), shared) for row in rows}
    said = (
        f"Of over {MANY:,} runs a page has the leaderboard's scores alone; the others are in `table.csv`, "
        "the matrices of codes and factors in the rows."
    )
    return {name: numbered.found for name, numbered in shared.items()} | {"runs": runs}, [said] * many


class _Numbered:
    """Things by number, each once."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self._places: dict[str, int] = {}

    def of(self, thing: Any) -> int:
        """The thing's number."""
        name = json.dumps(thing, sort_keys=True)
        if name not in self._places:
            self._places[name] = len(self.found)
            self.found.append(thing)
        return self._places[name]


def _values(
    frame: pd.DataFrame, shared: dict[str, _Numbered], heads: dict[str, str], many: bool
) -> dict[str, list[list[Any]]]:
    """Of each run its scores: number of the column, value, the metric's own noise, number of the points."""
    found: dict[str, list[list[Any]]] = {}
    for metric_id, score in heads.items():  # first, in the study's order
        shared["columns"].of({"id": metric_id, "score": score, "headline": True})
    wanted = ["run_key", "metric_id", "score", "value", "metric_std", "points"]
    for key, metric_id, score, value, std, points in frame[wanted].itertuples(index=False, name=None):
        if score and (not many or heads.get(metric_id) == score):
            column = {"id": metric_id, "score": score, "headline": heads.get(metric_id) == score}
            line = [shared["columns"].of(column), _number(value), _number(std), shared["points"].of(points)]
            found.setdefault(key, []).append(line)
    return found


def _number(value: Any) -> float | None:
    """Six digits of a number; None where there is none."""
    return None if value is None or value != value else float(f"{float(value):.6g}")


def _run(row: Row, about: dict[str, Any], values: list[list[Any]], shared: dict[str, _Numbered]) -> Row:
    run = row["kind"] == "run"
    units = [name for name in UNIT if name not in ("method", "setting")] if run else []
    data = {
        name: row["data"].get(name) for name in ("name", "checksum", "note", "images", "scored", "factors")
    }
    return {
        "study": row["study"],
        "title": told(about["method"]) if run else f"calibration: {about['method'].replace('_', ' ')}",
        "setting": about["setting"],
        "seed": int(about["seed"]),
        "status": row["status"],
        "unit": {name: _text(about[name]) for name in units if about[name] != ""},
        "data": shared["data"].of(data | {"source": about["source"]}),
        "origin": shared["origins"].of(row["provenance"]),
        "sha": row.get("model_sha256", ""),
        "number": None if about["model_number"] != about["model_number"] else _text(about["model_number"]),
        "seconds": {name: round(s, 1) for name, s in row["seconds"].items()},
        "values": values,
        "matrices": [
            {**one, "values": [[_short(v) for v in line] for line in one["values"]]}
            for one in row.get("matrices", [])
            if any(one["values"])
        ],
    }


def _text(value: Any) -> str | None:
    """A value for people; None where there is none."""
    import pandas as pd

    if pd.isna(value):
        return None
    return (
        f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
    )


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def as_json(content: Any) -> Any:
    """JSON that may stand in a script element: it cannot end the element or open another.

    >>> print(as_json({"note": "</script>"}))
    {"note":"\\u003c/script>"}
    """
    from markupsafe import Markup

    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def embedded(path: Path) -> str:
    """A picture as a data address: a still as WebP where that is smaller, an animation as it is."""
    content, kind = path.read_bytes(), "webp" if path.suffix == ".webp" else "png"
    if kind == "png":
        from PIL import Image

        buffer = io.BytesIO()
        with Image.open(path) as picture:
            picture.convert("RGB").save(buffer, "WEBP", quality=QUALITY, method=4)
        if len(buffer.getvalue()) < len(content):
            content, kind = buffer.getvalue(), "webp"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
