"""The leaderboard as data: one table per data set, source and split, with its rule and its gaps.

`disentangle.board_text` writes it as Markdown and LaTeX, `disentangle.page` as a page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from disentangle import find
from disentangle.rules import lower_is_better
from disentangle.run import Run
from disentangle.score import parse_metric
from disentangle.study import Study, datasets, plan

if TYPE_CHECKING:
    import pandas as pd

UNIT = [
    "method",
    "setting",
    "steps",
    "batch",
    "lr",
    "latents",
    "precision",
    "split",
]  # what makes one line, over its seeds
SPLIT = UNIT.index("split")
Unit = tuple[Any, ...]  # the values of UNIT
MISSING = "missing"


@dataclass(frozen=True)
class Column:
    """A score of one metric id."""

    metric_id: str
    score: str
    less: bool  # is better


@dataclass(frozen=True)
class Cell:
    """A mean over seeds.

    Attributes:
        mean: over the seeds.
        std: standard deviation (n - 1 in the denominator), NaN for one seed.
        half: half the width of the mean's 95 % interval (Student's), NaN for one seed.
        n: how many seeds.
        best: whether no line of the column is better.
        fewer: whether the line has more seeds than this score.
    """

    mean: float
    std: float
    half: float
    n: int
    best: bool
    fewer: bool


@dataclass(frozen=True)
class Line:
    """A setting, or a calibration representation.

    Attributes:
        kind: ``"run"`` or ``"calibration"``.
        method: the method's name, or the representation's.
        before: texts of the columns before the scores.
        cells: one per score; where there is no mean, the reason as text, see `cell`.
        after: texts of the columns behind them.
        unit: the setting as values of `UNIT`; None where there is none.
        seed: of a single model that was chosen; None where the line is over seeds.
    """

    kind: str
    method: str
    before: tuple[str, ...]
    cells: tuple[Cell | str, ...]
    after: tuple[str, ...]
    unit: Unit | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Board:
    """One table; nothing in it comes from two data sets, sources, splits or rules.

    Attributes:
        dataset: the data set's name.
        source: where its images come from; a planned data set without rows says ``"no rows yet"``.
        split: which images training showed; empty for all.
        rule: the selection rule; empty where every setting is a line.
        before: heads of the columns before the scores.
        columns: the scores.
        after: heads of the columns behind them.
        lines: the settings, then the calibration.
        notes: sentences under the table.
    """

    dataset: str
    source: str
    split: str
    rule: str
    before: tuple[str, ...]
    columns: tuple[Column, ...]
    after: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The data set, its source and the split, for a heading."""
        return f"{self.dataset} ({self.source})" + (f", trained on `{self.split}`" if self.split else "")


def boards(studies: Sequence[Study], frame: pd.DataFrame, summary: pd.DataFrame) -> list[Board]:
    """The leaderboards of one study, or of several together: every setting is a line.

    Args:
        studies: what is planned; settings that have no row yet are lines too.
        frame: of `disentangle.table.tidy`.
        summary: of `disentangle.table.summarise`.
    """
    found = []
    sources = {(d, s) for d, s in zip(frame["dataset"], frame["source"], strict=True)}
    for study in studies:
        for missing in set(datasets(study)) - {d for d, _ in sources}:
            sources.add((missing, study.source if study.source != "auto" else "no rows yet"))
    everything = _planned(studies)
    for dataset, source in sorted(sources):
        here = summary[(summary["dataset"] == dataset) & (summary["source"] == source)]
        lines = frame[(frame["dataset"] == dataset) & (frame["source"] == source)]
        planned = everything.get(dataset, {})
        trained = set(lines["split"][lines["kind"] == "run"]) | {unit[SPLIT] for unit in planned}
        for split in sorted(trained):
            own = {unit: seeds for unit, seeds in planned.items() if unit[SPLIT] == split}
            made = _board(studies, own, _of(here, split), _of(lines, split))
            found.append(Board(dataset, source, split, "", *made))
    return found


def headlines(studies: Study | Sequence[Study]) -> dict[str, str]:
    """Metric id to the score that stands for it on the leaderboard."""
    found: dict[str, str] = {}
    for study in [studies] if isinstance(studies, Study) else studies:
        names = [parse_metric(spec)[0] for spec in study.metric_specs()]
        scores = (find.get("metric", name).headline for name in names)
        found |= dict(zip(study.metric_ids(), scores, strict=True))
    return found


def columns(studies: Study | Sequence[Study]) -> tuple[Column, ...]:
    """The scores that stand for the metrics of these studies."""
    return tuple(Column(i, score, score in lower_is_better()) for i, score in headlines(studies).items())


def told(method: str) -> str:
    """A method's title; the name itself where there is no such method here."""
    return find.get("method", method).title if method in find.names("method") else method


def by_size(text: str) -> list[Any]:
    """What texts are sorted by: numbers in them by their size.

    >>> sorted(["beta=16", "beta=4"], key=by_size)
    ['beta=4', 'beta=16']
    """
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[-+]\d+)?)", text)
    return [float(part) if i % 2 else part for i, part in enumerate(parts)]


def _of(frame: pd.DataFrame, split: str) -> pd.DataFrame:
    """The lines of runs with a split, and all that are no runs'."""
    return frame[(frame["kind"] != "run") | (frame["split"] == split)]


def _board(
    studies: Sequence[Study], planned: dict[Unit, set[int]], summary: pd.DataFrame, lines: pd.DataFrame
) -> tuple[tuple[str, ...], tuple[Column, ...], tuple[str, ...], tuple[Line, ...]]:
    """Heads, columns and lines of one table."""
    known = lines.drop_duplicates(["run_key"])
    runs = list(dict.fromkeys([*planned, *map(tuple, known[known["kind"] == "run"][UNIT].values.tolist())]))
    asked, means = columns(studies), summary[summary["kind"] == "run"]
    best = [best_of(means[means["metric_id"] == c.metric_id], c) for c in asked]
    # Batch, learning rate, latents and precision stand under the table, or in a column where they differ.
    varied = [i for i in range(3, len(UNIT)) if len({unit[i] for unit in runs}) > 1]
    made = []
    for unit in runs:
        mine, own = _same(means, unit), _same(known, unit)
        done, lost = (int((own["status"] == status).sum()) for status in ("done", "diverged"))
        extra = [unit[i] if isinstance(unit[i], str) else f"{unit[i]:g}" for i in varied]
        before = (told(unit[0]), unit[1], f"{unit[2]:,.0f}", *extra)
        empty = "diverged" if lost and not done else MISSING
        cells = tuple(cell(mine, c, b, done, empty) for c, b in zip(asked, best, strict=True))
        after = (_seeds(own, planned.get(unit)),)
        made.append(Line("run", unit[0], before, cells, after, unit))
    for name in dict.fromkeys(name for study in studies for name in study.calibration):
        mine = summary[(summary["kind"] == "calibration") & (summary["method"] == name)]
        before = (name.replace("_", " "), "calibration", "", *("" for _ in varied))
        made.append(Line("calibration", name, before, tuple(cell(mine, c, None, 1) for c in asked), ("",)))
    return ("method", "setting", "steps", *(UNIT[i] for i in varied)), asked, ("seeds",), tuple(made)


def _planned(studies: Sequence[Study]) -> dict[str, dict[Unit, set[int]]]:
    """Of each data set the settings that the studies ask for, and their seeds."""
    found: dict[str, dict[Unit, set[int]]] = {name: {} for study in studies for name in datasets(study)}
    for study in studies:
        for task in plan(study, dict.fromkeys(datasets(study), "drawn")):
            if isinstance(task, Run):
                unit = (task.method, task.setting(), *(getattr(task, name) for name in UNIT[2:]))
                found[task.dataset].setdefault(unit, set()).add(task.seed)
    return found


def settings(studies: Study | Sequence[Study]) -> list[Unit]:
    """The settings that the studies ask for, in their order, as values of `UNIT`."""
    planned = _planned([studies] if isinstance(studies, Study) else studies)
    return list(dict.fromkeys(unit for units in planned.values() for unit in units))


def _same(frame: pd.DataFrame, unit: Unit) -> pd.DataFrame:
    for name, value in zip(UNIT, unit, strict=True):
        frame = frame[frame[name] == value]
    return frame


def best_of(cells: pd.DataFrame, column: Column) -> float | None:
    """The best mean of a column among these cells; None where there is none."""
    values = cells[cells["score"] == column.score]["mean"]
    if values.empty:
        return None
    return float(values.min() if column.less else values.max())


def cell(
    mine: pd.DataFrame, column: Column, best: float | None, seeds: int, empty: str = MISSING
) -> Cell | str:
    """A line's cell of one column, from the line's part of a summary.

    Returns:
        Where there is no mean a text: ``"not a number"`` if every score is none (of codes that do not
        vary, for instance), or else ``empty``: no row has this score.
    """
    found = mine[(mine["metric_id"] == column.metric_id) & (mine["score"] == column.score)]
    if found.empty:
        return empty
    one = found.iloc[0]
    mean, n = float(one["mean"]), int(one["n"])
    if not n:
        return "not a number"
    return Cell(mean, float(one["std"]), float(one["ci95_half_width"]), n, mean == best, n != seeds)


def _seeds(known: pd.DataFrame, planned: set[int] | None) -> str:
    """How many seeds are done, of how many where some are missing; also of seeds that nobody plans now."""
    done, lost = (set(known["seed"][known["status"] == status]) for status in ("done", "diverged"))
    others = 0 if planned is None else len(done - planned)
    text = f"{len(done)}"
    if planned is not None and (planned - done or others):
        text = f"{len(done & planned)} of {len(planned)}" + (f", {others} not planned" if others else "")
    return text + (f", {len(lost)} diverged" if lost else "")


def keys_of(frame: pd.DataFrame) -> Callable[[Board, Line], list[str]]:
    """What gives the keys of the runs that a line stands for, by their seeds.

    Args:
        frame: of `disentangle.table.tidy`.
    """
    known = frame.drop_duplicates("run_key").sort_values("seed")
    found: dict[Any, list[tuple[int, str]]] = {}
    for one in known.to_dict("records"):
        unit = tuple(one[name] for name in UNIT) if one["kind"] == "run" else None
        place = one["dataset"], one["source"], one["kind"], one["method"], unit
        found.setdefault(place, []).append((int(one["seed"]), one["run_key"]))

    def keys(board: Board, line: Line) -> list[str]:
        of = found.get((board.dataset, board.source, line.kind, line.method, line.unit), [])
        return [key for seed, key in of if line.seed in (None, seed)]

    return keys
