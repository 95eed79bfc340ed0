"""Carry out a study: what is left of the plan, however often it was stopped, on one machine or many."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from disentangle import find
from disentangle.errors import InputError, convert
from disentangle.files import write_bytes
from disentangle.loggers import check_loggers
from disentangle.outcome import ATTEMPTS, Outcome
from disentangle.perform import load_once
from disentangle.progress import Bar
from disentangle.run import Run
from disentangle.stopping import check_stopped
from disentangle.study import Study, Task, plan, resolve_sources
from disentangle.train import choose_device
from disentangle.work import Work

POLL = 1.0  # seconds between looks at runs that another command holds
Say = Callable[[str], None]


def carry_out(
    study: Study,
    folder: Path,
    *,
    engine: str = "local",
    options: dict[str, Any] | None = None,
    workers: int = 1,
    device: str = "auto",
    stack: int | None = None,
    checkpoint_every: int | None = None,
    lean: bool = False,
    loggers: Sequence[str] = (),
    say: Say = tqdm.write,
) -> list[Outcome]:
    """Train and score everything of the study that has no row yet.

    Any process may be killed at any moment: the command run again goes on from the rows and
    checkpoints that exist, to the same rows. Two commands on one study share the work. What fails for no
    mistake of the user's, or takes its process along, is tried `ATTEMPTS` times in all while the rest
    goes on; its reason stays in ``runs/<key>/error.txt``. On a full disk the study stops, for nothing else
    could be written either.

    Args:
        study: what to do.
        folder: the study's folder; rows, pictures and, under ``runs/``, models and checkpoints go there.
        engine: where: a name of `disentangle.find.names("engine")`.
        options: the engine's settings.
        workers: how many processes at once, each with one thread on a CPU; of a cluster, how many jobs.
        device, stack, checkpoint_every, loggers: see `disentangle.train.train`. Where a stack is more than
            one run, alike runs are trained together first and then scored one by one.
        lean: keep no codes of runs that have their row; another metric has to encode again.
        say: where messages for people go.

    Returns:
        One outcome per task, those that were complete before included.

    Raises:
        InputError: an engine, option, device or logger that is not there, a split that is none of its data
            set, or a folder that cannot be written to.
    """
    found = find.get("engine", engine)
    settings = convert(options or {}, found.settings, f"{engine} option", strict=False)
    check_loggers(loggers)
    check_writable(folder)
    target = str(choose_device(device)) if engine == "local" else device
    work = Work(study, folder.resolve(), target, stack, checkpoint_every, lean, tuple(loggers))
    sources = resolve_sources(study)
    driver = _Driver(work, found, settings, workers, say)
    tasks = plan(study, sources)
    left = driver.left(tasks)
    check_splits(left)
    _check_images(work, tasks)
    say(f"{study.name}: {len(tasks)} rows planned, {len(tasks) - len(left)} exist, {len(left)} to do")
    say("data: " + ", ".join(f"{dataset} ({source})" for dataset, source in sources.items()))
    driver.do(left)
    compared = work.comparisons(tasks)
    again = driver.left(compared)
    if again and not driver.stopped:
        say(f"{study.name}: {len(again)} settings to compare by UDR")
        driver.do(again)
    done = {t.key(): Outcome(t.key(), "done") for t in tasks}
    done |= {t.key(): Outcome(t.key(), "left" if driver.stopped else "done", t.label()) for t in compared}
    return [driver.ended.get(key, outcome) for key, outcome in done.items()]


def _check_images(work: Work, tasks: Sequence[Task]) -> None:
    """Refuse to go on with rows of other images: a user's file may be replaced, and a key does not see it."""
    for task in tasks:
        if task.source != "user" or (row := work.row(task)) is None:
            continue
        load_once(task.dataset, task.source, "cpu").check_same(
            row["data"]["checksum"],
            f"{work.folder} has rows of",
            "choose another --out, or another name for the new images",
        )


def check_splits(tasks: Sequence[Task]) -> None:
    """Refuse a split with its first mistake, which only the data set shows, and not once for every run."""
    told = {(t.dataset, t.source, t.split) for t in tasks if isinstance(t, Run) and t.split}
    for dataset, source, split in sorted(told):
        try:
            load_once(dataset, source, "cpu").with_split(split)
        except InputError as error:
            raise InputError(f"runs on {dataset}: {error}") from None


def check_writable(folder: Path) -> None:
    """Refuse a study's folder in which nothing can be written, before hours of training.

    Raises:
        InputError: the folder, or the file system, is read-only or full.
    """
    probe = folder / f".write-test-{time.monotonic_ns()}"
    try:
        write_bytes(probe, b"disentangle")
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written to ({error.strerror or error}); make room or choose another --out"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


class _Driver:
    """Hands tasks to an engine, tries again what may succeed, and keeps what became of each."""

    def __init__(self, work: Work, engine: find.Engine, settings: Any, workers: int, say: Say) -> None:
        self.work, self.engine, self.settings, self.workers = work, engine, settings, workers
        self.say = say
        self.ended: dict[str, Outcome] = {}
        self.failures: Counter[str] = Counter()
        self.stopped = False

    def left(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks that have no complete row."""
        return [task for task in tasks if not self.work.is_done(task)]

    def do(self, tasks: list[Task]) -> None:
        """Do these tasks, and wait for those that another command holds."""
        waiting, ready = tasks, tasks
        with Bar(tasks, self.work.folder / "runs", hidden=self.workers == 1) as bar:
            while waiting:
                check_stopped()
                self._round(ready, bar)
                waiting = [t for t in waiting if t.key() not in self.ended]
                if self.stopped:
                    self.ended |= {t.key(): Outcome(t.key(), "left", f"{t.label()}") for t in waiting}
                    return
                # What another command holds it may finish, or leave to us by dying.
                ready = [t for t in waiting if not self.work.is_held(t)]
                if waiting and not ready:
                    time.sleep(POLL)

    def _round(self, tasks: list[Task], bar: Bar) -> None:
        by_key = {task.key(): task for task in tasks}
        queue = deque(self.engine.cut(self.work, tasks, self.settings) if tasks else [])
        total = len(self.ended) + len(tasks)
        outcomes = self.engine.run(self.work, queue, self.workers, self.settings, bar.show)
        for outcome in outcomes if queue else ():
            text = self._note(outcome, by_key, queue)
            if outcome.key in self.ended:
                bar.ended(outcome.key)
            self.say(f"[{len(self.ended)}/{total}] {text}")

    def _note(self, outcome: Outcome, tasks: dict[str, Task], queue: deque[list[Task]]) -> str:
        """Keep an outcome or try the task again; what to say of it."""
        if outcome.status == "held":
            return f"held: {outcome.message}"
        if outcome.stop:
            self.stopped = True
            queue.clear()
        if outcome.again and not self.stopped:
            self.failures[outcome.key] += 1
            if (tries := self.failures[outcome.key]) < ATTEMPTS:
                queue.append([tasks[outcome.key]])
                return f"trying again ({tries} of {ATTEMPTS} failed): {outcome.message}"
        self.ended[outcome.key] = outcome
        return f"{outcome.status}: {outcome.message}"
