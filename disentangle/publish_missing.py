"""What of a study is not there: planned runs without a row, and runs that failed or diverged."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from disentangle import find
from disentangle.ranking import Ranking
from disentangle.rows import Row, is_complete
from disentangle.run import Run
from disentangle.study import Study, Task, datasets, named, plan, rankings
from disentangle.work import ERROR, Work

if TYPE_CHECKING:
    from disentangle.publish_files import Contents

# What is counted, and how it is told.
REASONS = {
    "failed": "{} failed when last tried",
    "running": "{} running",
    "incomplete": "{} with a row that lacks scores",
    "not done": "{} not done",
    "diverged": "{} diverged",
}


def missing(found: Contents) -> dict[str, Any]:
    """What of a study is not there.

    Needs no data set: which images the runs are of is told by the study or, where that says ``"auto"``, by
    the rows.

    Returns:
        The numbers of tasks ``planned`` and ``there`` (diverged ones too), of each of `REASONS` with
        underscores, of rows ``beyond_the_plan`` and of ``pictures`` that rows name and are not there; under
        ``of`` the ``key`` and the name of each task that is not as planned, and ``why``.
    """
    rows, work = {row["key"]: row for row in found.rows}, Work(found.study, found.folder.resolve())
    tasks = plan(found.study, _sources(found.study, found.rows))
    runs = [task for task in tasks if isinstance(task, Run)]
    tasks += rankings(found.study, [run for run in runs if _status(rows.get(run.key())) == "done"])
    of, planned = [], set()
    for task in tasks:
        planned.add(task.key())
        if why := _why(work, task, rows.get(task.key())):
            of.append({"key": task.key(), "what": named(task), "why": why})
    reasons = Counter(one["why"] for one in of)
    pictures = {name for row in found.rows for name in row.get("pictures", ())}
    return {
        "planned": len(tasks),
        "there": len(tasks) - len(of) + reasons["diverged"],
        **{reason.replace(" ", "_"): reasons[reason] for reason in REASONS},
        "beyond_the_plan": len(set(rows) - planned),
        "pictures": len(pictures - set(found.files)),
        "of": of,
    }


def missing_text(lacking: dict[str, Any]) -> str:
    """One sentence on what is there, and what is not.

    >>> counts = {"planned": 9, "there": 7, "failed": 0, "running": 0, "incomplete": 0, "not_done": 2}
    >>> missing_text(counts | {"diverged": 1, "beyond_the_plan": 0, "pictures": 0, "of": []})
    '7 of 9 planned rows are there; 2 not done, 1 diverged.'
    """
    counts = {text: lacking[reason.replace(" ", "_")] for reason, text in REASONS.items()}
    counts["rows that the study file does not ask for: {}"] = lacking["beyond_the_plan"]
    counts["pictures that are not there: {}"] = lacking["pictures"]
    told = ", ".join(text.format(count) for text, count in counts.items() if count)
    there = f"{lacking['there']} of {lacking['planned']} planned rows are there"
    return f"{there}; {told}." if told else f"{there}."


def _sources(study: Study, rows: list[Row]) -> dict[str, str]:
    """Which source each data set of the study was taken from."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row["data"]["name"], Counter())[row["data"]["source"]] += 1
    explicit, suite = study.source != "auto", find.names("dataset")
    sources = {}
    for name in datasets(study):
        [(seen, _)] = found.get(name, Counter(drawn=1)).most_common(1)  # without rows any will do
        sources[name] = study.source if explicit and name in suite else seen
    return sources


def _status(row: Row | None) -> str:
    return "" if row is None else str(row["status"])


def _why(work: Work, task: Task, row: Row | None) -> str:
    """Why a task is not as planned; empty if it is."""
    if isinstance(task, Ranking):
        complete = task.is_complete(row)
    else:
        complete = is_complete(row, [*work.metric_ids, *work.label_free_ids(task)])
    if complete:
        return "diverged" if _status(row) == "diverged" else ""
    if work.is_held(task):
        return "running"
    if (work.place(task) / ERROR).exists():
        return "failed"
    return "not done" if row is None else "incomplete"
