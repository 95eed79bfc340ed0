"""How far a study is: what is done, what runs, what failed, how long it will take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from disentangle.checkpoint import read_log
from disentangle.finished import is_finished
from disentangle.rows import Row
from disentangle.run import Run
from disentangle.study import Study, Task, plan, rankings, resolve_sources
from disentangle.work import ERROR, Work

SHOWN = 20  # lines of what runs and of what failed


@dataclass
class Status:
    """How far a study is.

    Attributes:
        work: the study and its folder.
        tasks: everything planned; the comparisons by UDR of settings that are trained too.
        rows: the rows that exist, by key.
        running: what a process on this or another machine is at.
        failed: what has no row and failed when it was last tried, with the reason.
        left: what else has no row.
    """

    work: Work
    tasks: list[Task]
    rows: dict[str, Row]
    running: list[Task] = field(default_factory=list)
    failed: list[tuple[Task, str]] = field(default_factory=list)
    left: list[Task] = field(default_factory=list)

    @property
    def done(self) -> list[Task]:
        """What has its row."""
        return [task for task in self.tasks if task.key() in self.rows]


def status(study: Study, folder: Path) -> Status:
    """Look at a study's folder; nothing in it is changed.

    Args:
        study: what is planned.
        folder: the study's.
    """
    work = Work(study, folder.resolve())
    tasks = plan(study, resolve_sources(study))
    tasks += rankings(study, [t for t in tasks if isinstance(t, Run) and _trained(work, t)])
    found = Status(work, tasks, {})
    for task in tasks:
        if work.is_done(task):
            found.rows[task.key()] = work.row(task) or {}
        elif work.is_held(task):
            found.running.append(task)
        elif reason := _reason(work, task):
            found.failed.append((task, reason))
        else:
            found.left.append(task)
    return found


def _trained(work: Work, run: Run) -> bool:
    return (work.row(run) or {}).get("status") == "done"


def _reason(work: Work, task: Task) -> str:
    """Why a task failed when it was last tried; empty if it did not."""
    try:
        lines = (work.place(task) / ERROR).read_text().splitlines()
    except OSError:
        return ""
    return lines[0] if lines else "unknown"


def step_of(work: Work, run: Run) -> tuple[int, float]:
    """The last step in a run's log, and the seconds of training until then."""
    lines = read_log(work.place(run))
    return (int(lines[-1]["step"]), float(lines[-1]["seconds"])) if lines else (0, 0.0)


def remaining(found: Status) -> float | None:
    """Seconds of work that are left, of one process, from the speed of runs of the same kind; None if none
    is known of a kind that is left."""
    speeds: dict[tuple[str, str, int, int], list[tuple[float, float]]] = {}
    for task in found.tasks:
        if isinstance(task, Run):
            step, seconds = step_of(found.work, task)
            row = found.rows.get(task.key(), {}).get("seconds", {})
            after = sum(row.get(part, 0.0) for part in ("encode", "score"))
            if step:
                speeds.setdefault(_kind(task), []).append((seconds / step, after))
    total = 0.0
    for task in [*found.running, *found.left, *(task for task, _ in found.failed)]:
        if not isinstance(task, Run):
            continue
        if (known := speeds.get(_kind(task))) is None:
            return None
        each = sum(speed for speed, _ in known) / len(known)
        scored = [after for _, after in known if after > 0]
        total += max(0, task.steps - step_of(found.work, task)[0]) * each
        total += sum(scored) / len(scored) if scored else 0.0
    return total


def _kind(run: Run) -> tuple[str, str, int, int]:
    """What a step's time depends on most."""
    return run.method, run.dataset, run.batch, run.latents


def describe(found: Status, times: bool = True) -> str:
    """The status for people, with or without the time left."""
    study, work = found.work.study, found.work
    diverged = sum(row.get("status") == "diverged" for row in found.rows.values())
    lines = [
        f"{study.name}: {len(found.rows)} of {len(found.tasks)} rows"
        + (f" ({diverged} diverged)" if diverged else "")
        + f", {len(found.running)} running, {len(found.failed)} failed, {len(found.left)} left to begin"
    ]
    lines += _settings(found)
    if found.running:
        lines += ["running:", *_some(_where(work, task) for task in found.running)]
    if found.failed:
        lines.append("failed when last tried (the same study command tries again):")
        lines += _some(
            f"{task.label()} on {task.dataset}, seed {task.seed}: {reason} ({work.place(task) / ERROR})"
            for task, reason in found.failed
        )
    return "\n".join([*lines, *(_time_left(found) if times else [])])


def _settings(found: Status) -> list[str]:
    """One line per setting: how many of its rows exist."""
    counts: dict[str, list[int]] = {}
    for task in found.tasks:
        if isinstance(task, Run):
            cell = counts.setdefault(f"{task.dataset} ({task.source})  {task.label()}", [0, 0])
            cell[0] += task.key() in found.rows
            cell[1] += 1
    width = max((len(name) for name in counts), default=0)
    return [f"  {name:{width}}  {done} of {all_}" for name, (done, all_) in counts.items()]


def _where(work: Work, task: Task) -> str:
    """Where a running task is."""
    name = f"{task.label()} on {task.dataset}, seed {task.seed}"
    if not isinstance(task, Run):
        return name
    step, seconds = step_of(work, task)
    if is_finished(work.place(task)):
        return f"{name}: trained, is scored"
    if not step:
        return f"{name}: begins"
    left = (task.steps - step) * seconds / step
    return f"{name}: step {step:,} of {task.steps:,}, {duration(left)} of training left"


def _some(lines: Iterable[str]) -> list[str]:
    found = list(lines)
    more = [f"  and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return [*(f"  {line}" for line in found[:SHOWN]), *more]


def _time_left(found: Status) -> list[str]:
    if len(found.rows) == len(found.tasks):
        return []
    total = remaining(found)
    if total is None:
        return ["time left: not known before the first run of each kind has logged some steps"]
    at_once = max(1, sum(isinstance(task, Run) for task in found.running))
    each = f"about {duration(total / at_once)} with {at_once} at once"
    return [f"time left: {each}" if found.running else f"nothing runs; {each}"]


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(42), duration(200), duration(9000), duration(400_000)
    ('42 s', '3 min', '2 h 30 min', '4 d 15 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
