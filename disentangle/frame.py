"""Frames: rows to a tidy frame, a line per run and score, and its summary over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from disentangle.board import UNIT
from disentangle.errors import InputError
from disentangle.presets import model_number
from disentangle.rows import Row
from disentangle.run import Run

if TYPE_CHECKING:
    import pandas as pd

GROUP = ["kind", "dataset", "source", *UNIT, "metric_id", "score"]
COLUMNS = [
    "study", "kind", "run_key", "dataset", "source", "data_checksum", "method", "setting", "seed", "steps",
    "batch", "lr", "latents", "precision", "split", "status", "metric_id", "score", "value", "metric_std",
    "repeats", "points", "version", "commit", "dirty",
    "python", "torch", "numpy", "scikit_learn", "device", "hardware", "threads", "stack", "train_seconds",
    "encode_seconds", "metric_seconds", "model_number", "model_sha256",
]  # fmt: skip


def tidy(rows: Iterable[Row]) -> pd.DataFrame:
    """One line per (run, score) with everything that is known of it; a diverged run has one, empty.

    Args:
        rows: see `disentangle.rows.read_rows`.

    Returns:
        A frame with the columns `COLUMNS` and one ``hyper.<name>`` per hyperparameter, sorted. Whole
        numbers are ``Int64``, which holds the steps that calibration lines do not have.

    Raises:
        InputError: a row has a score twice.
    """
    import pandas as pd

    found = list(rows)
    compared, several = _compared(found), of_several(_images(row["data"]) for row in found)
    lines = [line for row in found if row["kind"] != "ranking" for line in _lines(row, compared, several)]
    _refuse_twice(lines)
    # A column per hyperparameter of any method, for those who plot against one.
    hyper = sorted({name for line in lines for name in line if name.startswith("hyper.")})
    frame = pd.DataFrame(lines, columns=[*COLUMNS, *hyper])
    whole = ["seed", "steps", "batch", "latents", "repeats", "stack", "model_number"]
    frame[whole] = frame[whole].astype("Int64")  # calibration has no steps; 40, not 40.0
    order = ["kind", "dataset", "source", "method", "setting", "seed", "metric_id", "score"]
    return frame.sort_values(order, ascending=[False] + [True] * 7, kind="stable", ignore_index=True)


def _refuse_twice(lines: Iterable[dict[str, Any]]) -> None:
    seen = set()
    for line in lines:
        name = tuple(line[field] for field in ("run_key", "dataset", "source", "metric_id", "score"))
        if name in seen:
            raise twice(line)
        seen.add(name)


def twice(line: Mapping[Any, Any]) -> InputError:
    """What is wrong where a run has a score of one metric id twice."""
    what = f"{line['method']} {line['setting']}".strip()
    return InputError(
        f"{what}, seed {line['seed']}, on {line['dataset']} ({line['source']}) has {line['metric_id']} "
        f"{line['score']} twice; expected each score of a run once"
    )


def _compared(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """The UDR of each run, by its key, as a score of its own row."""
    return {
        key: {"id": row["id"], "name": "udr", "value": value,
              "points": f"{row.get('models', len(row['of']))} models",
              "seconds": row["seconds"]["score"], "provenance": row["provenance"]}
        for row in rows
        if row["kind"] == "ranking"
        for key, value in row["of"].items()
    }  # fmt: skip


def _lines(
    row: Row, compared: dict[str, dict[str, Any]], several: set[tuple[str, str]]
) -> list[dict[str, Any]]:
    run, seconds = row["run"], row["seconds"]
    shared = {
        "study": row["study"],
        "kind": row["kind"],
        "run_key": row["key"],
        "dataset": row["data"]["name"],
        "source": _source(row["data"], several),
        "data_checksum": row["data"]["checksum"],
        "setting": _setting(run),
        "status": row["status"],
        "model_sha256": row.get("model_sha256", ""),
        "model_number": _number(run) if row["kind"] == "run" else None,
        "train_seconds": seconds.get("train"),
        "encode_seconds": seconds.get("encode"),
        **{f"hyper.{name}": value for name, value in run["hyper"].items()},
        **{k: run.get(k) for k in ("method", "seed", "steps", "batch", "lr", "latents")},
        # Rows of before there was a choice do not name it; calibration has none.
        "precision": run.get("precision", "fp32" if row["kind"] == "run" else None),
        "split": run.get("split", ""),
        "stack": row["provenance"].get("stack", 1) if row["kind"] == "run" else None,
    }
    empty = {"id": "", "name": "", "value": None, "points": "", "seconds": None, "repeats": None}
    scores = [*row["scores"], *([compared[row["key"]]] if row["key"] in compared else [])] or [empty]
    return [
        # The stack is the training's, not that of the software which added a score.
        {**_origin(s.get("provenance", row["provenance"])), **shared,
         "metric_id": s["id"], "score": s["name"], "value": s["value"], "points": s["points"],
         "metric_std": s.get("std"), "repeats": s.get("repeats", 1),
         "metric_seconds": s["seconds"] and round(s["seconds"], 3)}
        for s in scores
    ]  # fmt: skip


def of_several(images: Iterable[tuple[str, str, str]]) -> set[tuple[str, str]]:
    """The data sets, with their sources, of which there are several checksums of images.

    >>> of_several([("toy", "drawn", "sha256:1"), ("toy", "drawn", "sha256:2"), ("cars3d", "drawn", "")])
    {('toy', 'drawn')}
    """
    found: dict[tuple[str, str], set[str]] = {}
    for name, source, checksum in images:
        found.setdefault((name, source), set()).add(checksum)
    return {one for one, checksums in found.items() if len(checksums) > 1}


def with_digits(source: str, checksum: str) -> str:
    """A source with the first digits of its images' checksum.

    >>> with_digits("drawn", "sha256:0123456789")
    'drawn:01234567'
    """
    return f"{source}:{checksum.rpartition(':')[2][:8]}"


def _images(data: dict[str, Any]) -> tuple[str, str, str]:
    return str(data["name"]), str(data["source"]), str(data["checksum"])


def _source(data: dict[str, Any], several: set[tuple[str, str]]) -> str:
    """Where images come from; with the first digits of their checksum where that does not say which.

    All sorts of images have a user as their source, and images drawn by two versions may differ.
    """
    name, source, checksum = _images(data)
    known = source != "user" and (name, source) not in several
    return source if known else with_digits(source, checksum)


def _origin(provenance: dict[str, Any]) -> dict[str, Any]:
    """Of the software and hardware that computed a score; the one that trained it stays in the row."""
    found = {k.replace("-", "_"): v for k, v in provenance.items()}
    return {k: v for k, v in found.items() if k in COLUMNS}


def _number(run: dict[str, Any]) -> int | None:
    """The run's model number in the 2019 study, if it is one of its models."""
    try:
        return model_number(Run(**run))
    except (InputError, TypeError):  # a row of another version
        return None


def _setting(run: dict[str, Any]) -> str:
    return Run(method=run["method"], dataset=run["dataset"], hyper=run["hyper"]).setting()


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation (n - 1) and 95 % interval of the mean per setting and score.

    Where the metrics drew their points several times (R repeats), the spread over models is told apart
    from the metrics' own noise: ``metric_std`` is the root of the mean variance over draws of one
    model, ``seed_std`` the root of what is left of the variance over models, ``std² - metric_std² / R``
    (0 where that is negative). Both are empty for a single draw.

    The interval is Student's: ``t(0.975, n - 1) * std / sqrt(n)``; empty for n = 1. Only cells of one
    data source (of a user's own images: one checksum) and one metric id are ever joined.
    """
    scored = frame[frame["score"] != ""]
    grouped = scored.groupby(GROUP, dropna=False, sort=False)["value"]
    summary = grouped.agg(mean="mean", std="std", n="count", min="min", max="max").reset_index()
    summary["ci95_half_width"] = [half_width(*pair) for pair in zip(summary["std"], summary.n, strict=True)]
    noise = scored.assign(var=scored["metric_std"].astype(float) ** 2)
    own = noise.groupby(GROUP, dropna=False, sort=False).agg(var=("var", "mean"), repeats=("repeats", "max"))
    own = own.reset_index()
    summary["metric_std"] = own["var"] ** 0.5
    between = summary["std"] ** 2 - own["var"] / own["repeats"].astype(float)
    summary["seed_std"] = between.clip(lower=0) ** 0.5
    return summary


def half_width(std: float, n: int) -> float:
    """Half of Student's 95 % interval of a mean, ``t(0.975, n - 1) * std / sqrt(n)``; NaN for n below 2.

    >>> round(half_width(0.1, 3), 4), half_width(0.1, 1)
    (0.2484, nan)
    """
    from scipy.special import stdtrit  # the quantile; scipy.stats takes half a second to import

    return float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n) if n > 1 else math.nan
