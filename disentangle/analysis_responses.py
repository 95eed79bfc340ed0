"""The numbers behind the figures against a hyperparameter: mean scores for each of its values.

Models and what is joined are those of `disentangle.analysis`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle.analysis import PLACE, models
from disentangle.board import UNIT
from disentangle.frame import half_width

if TYPE_CHECKING:
    import pandas as pd

TRAINING = ["steps", "batch", "lr", "latents"]  # what can be varied beside a method's own hyperparameters
RESPONSES = [*PLACE, "hyperparameter", "method", "others", "hyper_value", "metric_id", "score",
             "mean", "std", "n", "ci95_half_width"]  # fmt: skip


def responses(frame: pd.DataFrame, headlines: Mapping[str, str]) -> pd.DataFrame:
    """Mean scores against each numeric hyperparameter of which a method has several values, all else equal.

    Steps, batch, learning rate and latents count as hyperparameters too. Values that are no numbers, such as
    ``k = "rnd"``, are left out.

    Args:
        frame: of `disentangle.table.tidy`.
        headlines: metric id to the score that stands for it.

    Returns:
        The columns `RESPONSES`, a line per value and metric id. ``others`` tells lines of one method
        apart that differ in something else, such as ``"k=1"``. The interval is Student's,
        ``t(0.975, n - 1) * std / sqrt(n)``, NaN for n = 1.

    Raises:
        InputError: see `disentangle.analysis.models`.
    """
    import pandas as pd

    found = models(frame, headlines)
    hyper = sorted(name for name in map(str, found) if name.startswith("hyper."))
    fields = ["method", *hyper, *UNIT[2:-1]]
    plain = found[fields].astype(object).where(found[fields].notna(), None)
    texts = pd.DataFrame({name: [_text(value) for value in plain[name].tolist()] for name in fields})
    lines: list[dict[str, Any]] = []
    for name in [*hyper, *TRAINING]:
        x = np.array([_number(value) for value in plain[name].tolist()], float)
        if len({*x[np.isfinite(x)]}) < 2:
            continue
        rest = texts.drop(columns=name)
        keys: Any = [*zip(*(rest[field].tolist() for field in rest), strict=True)]
        alike = found[PLACE].assign(rest=keys, x=x)
        several = alike.groupby([*PLACE, "rest"])["x"].transform("nunique") > 1
        kept = several.to_numpy(bool) & np.isfinite(x)
        mine = found[kept].assign(hyper_value=x[kept], others=_others(found[kept], rest[kept]))
        lines += [
            {"hyperparameter": name.removeprefix("hyper."), **line} for line in _means_of(mine, headlines)
        ]
    by = [*PLACE, "hyperparameter", "method", "others"]
    return pd.DataFrame(lines, columns=RESPONSES).sort_values(by, kind="stable", ignore_index=True)


def _number(value: Any) -> float:
    """A hyperparameter as a number; NaN where it is none, as True, False and most texts."""
    if isinstance(value, bool | np.bool_) or value is None:
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan


def _text(value: Any) -> str:
    """A field's value as in a setting's text; empty where it has none."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _others(mine: pd.DataFrame, rest: pd.DataFrame) -> list[str]:
    """What else tells the lines of one method apart, such as ``"k=1"``."""
    found = [""] * len(mine)
    places = mine.reset_index().groupby([*PLACE, "method"]).indices
    for rows in places.values():
        own = rest.iloc[rows]
        names = [name for name in map(str, own) if own[name].nunique() > 1]
        for row, values in zip(rows, own[names].to_numpy().tolist(), strict=True):
            told = zip(names, values, strict=True)
            found[row] = ", ".join(f"{name.removeprefix('hyper.')}={v}" for name, v in told if v)
    return found


def _means_of(mine: pd.DataFrame, headlines: Mapping[str, str]) -> list[dict[str, Any]]:
    """Mean, spread and interval of each point of each line, in the order of the metrics."""
    keys = [*PLACE, "method", "others", "place", "hyper_value", "metric_id", "score"]
    grouped = mine.assign(place=mine["metric_id"].map([*headlines].index)).groupby(keys)["value"]
    lines: Any = grouped.agg(mean="mean", std="std", n="count").reset_index().to_dict("records")
    for line in lines:
        line["ci95_half_width"] = half_width(line["std"], line["n"])
    return [*lines]
