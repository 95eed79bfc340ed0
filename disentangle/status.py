"""How far a study is: what is done, what runs, what failed, how long it will take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from disentangle.checkpoint import last_line
from disentangle.finished import is_finished
from disentangle.rows import Row
from disentangle.run import Run
from disentangle.study import Study, Task, named, plan, resolve_sources
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
    """Look at a study's folder. Nothing in it is changed, but that a damaged row is set aside.

    Args:
        study: what is planned.
        folder: the study's.
    """
    work = Work(study, folder.resolve())
    tasks = plan(study, resolve_sources(study))
    tasks += work.comparisons(tasks)
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


def _reason(work: Work, task: Task) -> str:
    """Why a task failed when it was last tried; empty if it did not."""
    try:
        lines = (work.place(task) / ERROR).read_text().splitlines()
    except OSError:
        return ""
    return lines[0] if lines else "unknown"


@dataclass(frozen=True)
class Progress:
    """Where a run's training is: its step, the seconds until then (of a stack, its share), the stack."""

    step: int
    seconds: float
    stack: int


def progress(work: Work, run: Run) -> Progress:
    """Where a run's log says that it is."""
    line = last_line(work.place(run)) or {"step": 0, "seconds": 0.0}
    return Progress(int(line["step"]), float(line["seconds"]), int(line.get("stack", 1)))


def remaining(found: Status) -> float | None:
    """Seconds of work that are left, of one process or GPU, from the speed of runs of the same kind; None if
    none is known of a kind that is left."""
    speeds: dict[tuple[str, str, int, int], list[float]] = {}
    scoring: dict[tuple[str, str, int, int], list[float]] = {}
    left = [task for task in _unfinished(found) if isinstance(task, Run)]
    where = {run.key(): progress(found.work, run) for run in left}
    for task in found.tasks:
        row = found.rows.get(task.key())
        if isinstance(task, Run) and row is not None and row.get("step"):
            seconds = row["seconds"]
            speeds.setdefault(_kind(task), []).append(seconds.get("train", 0.0) / row["step"])
            scoring.setdefault(_kind(task), []).append(seconds.get("encode", 0.0) + seconds.get("score", 0.0))
        elif isinstance(task, Run) and (at := where.get(task.key())) is not None and at.step:
            speeds.setdefault(_kind(task), []).append(at.seconds / at.step)
    total = 0.0
    for run in left:
        if (known := speeds.get(_kind(run))) is None:
            return None
        total += max(0, run.updates() - where[run.key()].step) * sum(known) / len(known)
        total += fmean(scoring.get(_kind(run), [0.0]))
    return total


def _unfinished(found: Status) -> list[Task]:
    return [*found.running, *found.left, *(task for task, _ in found.failed)]


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
            f"{named(task)}: {reason} ({work.place(task) / ERROR})" for task, reason in found.failed
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
    name = named(task)
    if not isinstance(task, Run):
        return name
    at = progress(work, task)
    if is_finished(work.place(task)):
        return f"{name}: trained, is scored"
    if not at.step:
        return f"{name}: begins"
    left = (task.updates() - at.step) * at.seconds * at.stack / at.step
    together = f", one of {at.stack} in a stack" if at.stack > 1 else ""
    return f"{name}: step {at.step:,} of {task.updates():,}{together}, {duration(left)} of training left"


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
    # The runs of a stack are at work on one device.
    shares = [1 / progress(found.work, task).stack for task in found.running if isinstance(task, Run)]
    at_once = max(1, round(sum(shares)))
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
