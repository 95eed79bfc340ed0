"""The leaderboard: a summary as Markdown, with its rule and its gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from disentangle import find
from disentangle.calibrate import ABOUT
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


def markdown(study: Study, frame: pd.DataFrame, summary: pd.DataFrame) -> str:
    """The leaderboard as Markdown: one table per data set, source and split."""
    parts = [f"# {study.name}", *([study.description] if study.description else [])]
    ids = headlines(study)
    sources = {(d, s) for d, s in zip(frame["dataset"], frame["source"], strict=True)}
    for missing in set(datasets(study)) - {d for d, _ in sources}:
        sources.add((missing, study.source if study.source != "auto" else "no rows yet"))
    for dataset, source in sorted(sources):
        here = summary[(summary["dataset"] == dataset) & (summary["source"] == source)]
        lines = frame[(frame["dataset"] == dataset) & (frame["source"] == source)]
        planned = _planned(study, dataset)
        trained = set(lines["split"][lines["kind"] == "run"]) | {unit[SPLIT] for unit in planned}
        for split in sorted(trained):
            parts.append(f"## {dataset} ({source}){told(split)}")
            own = {unit: count for unit, count in planned.items() if unit[SPLIT] == split}
            parts.append(_board(study, own, _of(here, split), _of(lines, split), ids))
    return "\n\n".join([*parts, _rule(study, frame)]) + "\n"


def headlines(study: Study) -> dict[str, str]:
    """Metric id to the score that stands for it on the leaderboard."""
    names = [parse_metric(spec)[0] for spec in study.metric_specs()]
    return dict(zip(study.metric_ids(), (find.get("metric", n).headline for n in names), strict=True))


def told(split: str) -> str:
    """What a heading says of a split."""
    return f", trained on `{split}`" if split else ""


def _of(frame: pd.DataFrame, split: str) -> pd.DataFrame:
    """The lines of runs with a split, and all that are no runs'."""
    return frame[(frame["kind"] != "run") | (frame["split"] == split)]


def _board(
    study: Study,
    planned: dict[tuple[Any, ...], int],
    summary: pd.DataFrame,
    lines: pd.DataFrame,
    ids: dict[str, str],
) -> str:
    known = lines.drop_duplicates(["run_key"])
    runs = list(dict.fromkeys([*planned, *map(tuple, known[known["kind"] == "run"][UNIT].values.tolist())]))
    best = {
        i: _best(summary[(summary["kind"] == "run") & (summary["metric_id"] == i)], s) for i, s in ids.items()
    }
    # Batch, learning rate, latents and precision stand under the table, or in a column where they differ.
    varied = [i for i in range(3, len(UNIT)) if len({unit[i] for unit in runs}) > 1]
    less = _lower_is_better()
    head = [
        "method",
        "setting",
        "steps",
        *(UNIT[i] for i in varied),
        *(f"{score}{' (less is better)' if score in less else ''}<br>`{i}`" for i, score in ids.items()),
        "seeds",
    ]
    table = [head, ["---"] * len(head)]
    for unit in runs:
        mine, own = _same(summary[summary["kind"] == "run"], unit), _same(known, unit)
        done = int((own["status"] == "done").sum())
        cells = [_cell(mine, i, s, best[i], done) for i, s in ids.items()]
        title = find.get("method", unit[0]).title if unit[0] in find.names("method") else unit[0]
        extra = [unit[i] if isinstance(unit[i], str) else f"{unit[i]:g}" for i in varied]
        table.append([title, unit[1], f"{unit[2]:,.0f}", *extra, *cells, _seeds(own, planned.get(unit))])
    for name in study.calibration:
        mine = summary[(summary["kind"] == "calibration") & (summary["method"] == name)]
        cells = [_cell(mine, i, s, None, 1) for i, s in ids.items()]
        table.append([f"*{name.replace('_', ' ')}*", "*calibration*", "", *("" for _ in varied), *cells, ""])
    return "\n".join("| " + " | ".join(row) + " |" for row in table)


def _planned(study: Study, dataset: str) -> dict[tuple[Any, ...], int]:
    """The settings that the study asks for on this data, and how many seeds each."""
    counts: dict[tuple[Any, ...], int] = {}
    for task in plan(study, dict.fromkeys(datasets(study), "drawn")):
        if isinstance(task, Run) and task.dataset == dataset:
            unit = (task.method, task.setting(), *(getattr(task, name) for name in UNIT[2:]))
            counts[unit] = counts.get(unit, 0) + 1
    return counts


def settings(study: Study) -> list[tuple[Any, ...]]:
    """The settings that the study asks for, in its order, as values of `UNIT`."""
    return list(dict.fromkeys(unit for dataset in datasets(study) for unit in _planned(study, dataset)))


def _same(frame: pd.DataFrame, unit: tuple[Any, ...]) -> pd.DataFrame:
    for name, value in zip(UNIT, unit, strict=True):
        frame = frame[frame[name] == value]
    return frame


def _best(cells: pd.DataFrame, score: str) -> float | None:
    values = cells[cells["score"] == score]["mean"]
    if values.empty:
        return None
    return float(values.min() if score in _lower_is_better() else values.max())


def _lower_is_better() -> set[str]:
    """The headlines of which less is better."""
    metrics = (find.get("metric", name) for name in find.metrics_of_codes())
    return {metric.headline for metric in metrics if metric.lower_is_better}


def _cell(mine: pd.DataFrame, metric_id: str, score: str, best: float | None, seeds: int) -> str:
    """Mean ± standard deviation, bold where best, with its own n where it has fewer than all seeds."""
    found = mine[(mine["metric_id"] == metric_id) & (mine["score"] == score)]
    if found.empty:
        return "missing"
    one = found.iloc[0]
    text = f"{one['mean']:.3f}" + (f" ± {one['std']:.3f}" if one["n"] > 1 else "")
    text = f"**{text}**" if best is not None and one["mean"] == best else text
    return text if one["n"] == seeds else f"{text} (n = {one['n']})"


def _seeds(known: pd.DataFrame, planned: int | None) -> str:
    done = int((known["status"] == "done").sum())
    diverged = int((known["status"] == "diverged").sum())
    text = f"{done}" if planned in (None, done) else f"{done} of {planned}"
    return text + (f", {diverged} diverged" if diverged else "")


def _rule(study: Study, frame: pd.DataFrame) -> str:
    """What a reader must know to use the numbers."""
    scored = "all images" if study.rows is None else f"{study.rows:,} random images"
    known = "; ".join(f"*{name.replace('_', ' ')}*, {about}" for name, about in ABOUT.items())
    pairs = zip(frame["commit"], frame["dirty"], strict=True)
    commits = sorted({f"{c[:10]}{' with changes' if d else ''}" for c, d in pairs if c})
    rates, batches, precisions, versions, hardware = (
        ", ".join(sorted({f"{v:g}" if isinstance(v, float) else str(v) for v in frame[name].dropna()}))
        for name in ("lr", "batch", "precision", "version", "hardware")
    )
    made = (
        f"Batch {batches}, learning rate {rates}, trained in {precisions}. Made by "
        f"disentangle-bench {versions}, commit {', '.join(commits) or 'not known'}, on {hardware}."
    )
    return "\n\n".join(
        [
            "Cells: mean over seeds ± standard deviation (n - 1 in the denominator); the 95 % interval of "
            "the mean is in `summary.csv`. **Bold**: the best mean of a column. Selection rule: none, "
            "every setting of the study is a line. *missing*: no row has this score yet.",
            f"Representation: posterior mean (of autoencoders the code), of {scored}. Calibration lines are "
            f"representations of known quality: {known}.",
            "Data marked `drawn` are redrawn from published figures and are not DeepMind's files; the two "
            "are never joined in one cell.",
            *([made] if len(frame) else []),
        ]
    )
