"""The models of one data set, source and split, and what all of their figures need and say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from disentangle import figure_style as style
from disentangle.analysis import PLACE, lower_is_better, models, rank_correlation, variance_shares
from disentangle.analysis_responses import responses
from disentangle.board import UNIT, Unit, by_size

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

REFERENCES = {"true_factors": "--", "noise": ":"}  # calibration representations, and how their lines look


@dataclass(frozen=True, eq=False)
class Place:
    """The models of one data set, source and split."""

    of: tuple[str, str, str]  # data set, source and split
    runs: pd.DataFrame  # a line per model and metric, with the number of its setting as unit
    units: dict[int, Unit]  # the settings in their order
    scores: dict[str, str]  # metric id to score, of those that have some
    references: dict[str, dict[str, float]]  # metric id to calibration representations and their scores
    colours: dict[str, str]  # a method's, the same in all figures
    about: str  # the last sentences of each caption
    responses: pd.DataFrame
    correlation: pd.DataFrame
    shares: pd.DataFrame

    def __str__(self) -> str:
        dataset, source, split = self.of
        return f"{dataset} ({source})" + (f", trained on {split}" if split else "")


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure before it is written, without what every caption of its place says."""

    title: str
    caption: str
    drawing: Drawing
    numbers: pd.DataFrame
    suffix: str = ""  # tells figures of one kind apart


def places(frame: pd.DataFrame, headlines: Mapping[str, str], order: Sequence[Unit]) -> list[Place]:
    """Every data set, source and split with models; the arguments are those of `disentangle.figures.draw`."""
    runs = models(frame, headlines)
    each = [*runs[UNIT].itertuples(index=False, name=None)]
    rank = {tuple(unit): i for i, unit in enumerate(order)}
    units = sorted(set(each), key=lambda u: (rank.get(u, len(rank)), u[0], by_size(u[1]), u[2:]))
    methods = dict.fromkeys(unit[0] for unit in units)
    colours = dict(zip(methods, itertools.cycle(style.COLOURS), strict=False))
    numbers = {unit: i for i, unit in enumerate(units)}
    tables = [make(frame, headlines) for make in (responses, rank_correlation, variance_shares)]
    found = []
    groups: Any = runs.assign(unit=[numbers[unit] for unit in each]).groupby(PLACE)  # keys are texts
    for place, mine in groups:
        there = set(mine["metric_id"])
        scores = {i: score for i, score in headlines.items() if i in there}
        here = {i: units[i] for i in sorted(set(mine["unit"]))}
        about = _about(scores, [i for i in headlines if i not in there], _diverged(frame, place))
        own = [table[(table[PLACE] == list(place)).all(axis=1)] for table in tables]
        found.append(
            Place(place, mine, here, scores, _references(frame, place, scores), colours, about, *own)
        )
    return found


def _diverged(frame: pd.DataFrame, place: tuple[str, str, str]) -> int:
    if "status" not in frame:
        return 0
    runs = frame[(frame["kind"] == "run") & (frame["status"] == "diverged")]
    runs = runs.assign(split=runs["split"].astype(object).fillna("") if "split" in runs else "")
    return int(runs[(runs[PLACE] == list(place)).all(axis=1)]["run_key"].nunique())


def _references(
    frame: pd.DataFrame, place: tuple[str, str, str], scores: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    lines = frame[(frame["kind"] == "calibration") & frame["method"].isin([*REFERENCES])]
    lines = lines[(lines["dataset"] == place[0]) & (lines["source"] == place[1])]
    lines = lines[lines["metric_id"].map(scores) == lines["score"]]
    means: Any = lines["value"].astype(float).groupby([lines["metric_id"], lines["method"]]).mean()
    known = {key: float(value) for key, value in means.items() if math.isfinite(value)}
    return {i: {name: known[i, name] for name in REFERENCES if (i, name) in known} for i in scores}


def _about(scores: Mapping[str, str], missing: Sequence[str], diverged: int) -> str:
    less = dict.fromkeys(score for score in scores.values() if lower_is_better(score))
    parts = [
        f"Metrics: {', '.join(f'{score} ({i})' for i, score in scores.items())}.",
        f"Less is better of {', '.join(less)}." if less else "",
        f"Without scores: {', '.join(missing)}." if missing else "",
        f"{count(diverged, 'diverged run')} left out." if diverged else "",
    ]
    return " ".join(filter(None, parts))


def count(n: int, what: str) -> str:
    """So many of something, such as ``"1 model"`` and ``"1,200 models"``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def span(counts: pd.Series[int]) -> str:
    """The least and the most of some counts, as text."""
    low, high = counts.min(), counts.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def heads(scores: Mapping[str, str], width: float) -> dict[str, list[tuple[str, bool]]]:
    """What stands over each panel so many inches wide: score (bold), metric id, and which way is better."""
    letters = int(width / 0.07)
    return {
        i: [(line, True) for line in style.wrap(score, letters)]
        + [(line, False) for line in style.wrap(i, int(1.2 * letters))]
        + [("less is better", False)] * lower_is_better(score)
        for i, score in scores.items()
    }
