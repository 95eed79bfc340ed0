"""How a study's tasks are done: what is done already, who is at it, and how tasks are handed out."""

from __future__ import annotations

import contextlib
import errno
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from disentangle import find
from disentangle.encode import cache_file
from disentangle.finished import is_finished
from disentangle.ranking import Ranking
from disentangle.rows import Row, is_complete, read_row, row_path
from disentangle.run import Run
from disentangle.study import Study, Task, rankings
from disentangle.train import groups
from disentangle.weak import ID as WEAK

PATIENCE = 0.5  # seconds to wait for a lock that somebody only looks at
LOCK = "lock"
ERROR = "error.txt"  # in a task's folder: the reason, and the traceback
LOCKLESS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  # what a file system without locks answers


@dataclass(frozen=True)
class Work:
    """How the tasks of a study are done; small and picklable, so that it travels to other processes.

    Attributes:
        study: what is asked for.
        folder: the study's, absolute: rows, pictures and runs are in it.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; ``"auto"`` is decided where the task is done.
        stack: see `disentangle.train.train`.
        checkpoint_every: see `disentangle.train.train`.
        lean: keep no codes of runs that have their row.
        loggers: see `disentangle.train.train`.
    """

    study: Study
    folder: Path
    device: str = "cpu"
    stack: int | None = None
    checkpoint_every: int | None = None
    lean: bool = False
    loggers: tuple[str, ...] = ()

    def place(self, task: Task) -> Path:
        """The task's folder."""
        return self.folder / "runs" / task.key()

    def row(self, task: Task) -> Row | None:
        """The task's row, if it has one."""
        return read_row(row_path(self.folder, task.key()))

    def is_done(self, task: Task) -> bool:
        """Whether the task's row exists and holds all that the study asks for."""
        if isinstance(task, Ranking):
            return task.is_complete(self.row(task))
        return is_complete(self.row(task), [*self.metric_ids, *self.label_free_ids(task)])

    @functools.cached_property
    def metric_ids(self) -> list[str]:
        """The ids of the metrics, looked up once for thousands of tasks."""
        return self.study.metric_ids()

    @functools.cached_property
    def _weakly(self) -> bool:
        return any(rule.criterion == "weak_reconstruction" for rule in self.study.rules())

    def label_free_ids(self, task: Task) -> list[str]:
        """The ids of what a task's row holds beside the metrics, without labels, for a selection rule."""
        pairs = self._weakly and isinstance(task, Run) and find.get("method", task.method).pairs
        return [WEAK] if pairs else []

    def comparisons(self, tasks: Sequence[Task]) -> list[Task]:
        """The comparisons by UDR that the study asks for, of those runs among the tasks that are trained."""
        runs = [task for task in tasks if isinstance(task, Run)] if self.study.compares() else []
        return rankings(self.study, [r for r in runs if (self.row(r) or {}).get("status") == "done"])

    def is_held(self, task: Task) -> bool:
        """Whether another process is at it."""
        if not (self.place(task) / LOCK).exists():
            return False
        try:
            with _lock(self.place(task), 0):
                return False
        except filelock.Timeout:
            return True
        except OSError:  # nothing can be locked there
            return False

    def needs_device(self, task: Task) -> bool:
        """Whether the task is for the device that trains: all but the scoring of known codes."""
        if isinstance(task, Ranking):
            return True
        place = self.place(task)
        return isinstance(task, Run) and not (
            is_finished(place) and cache_file(place, self.study.rows).exists()
        )


def stacks(device: str, stack: int | None) -> bool:
    """Whether runs are trained together before each has its turn: asked for, or the custom of a GPU.

    >>> stacks("cpu", None), stacks("cpu", 8), stacks("cuda", None), stacks("cuda", 8), stacks("cuda", 1)
    (False, True, True, True, False)
    """
    return stack > 1 if stack is not None else device.startswith("cuda")


def chunks(work: Work, tasks: Sequence[Task], most: int) -> list[list[Task]]:
    """The tasks in chunks of at most ``most``: alike runs that have to be trained, or single tasks."""
    if most == 1:
        return [[task] for task in tasks]
    new = [t for t in tasks if isinstance(t, Run) and not is_finished(work.place(t))]
    cut = [list[Task](part) for group in groups(new) for part in _evenly(group, most)]
    trained = {run.key() for run in new}
    return [*cut, *([t] for t in tasks if t.key() not in trained)]


def _evenly(runs: list[Run], most: int) -> list[list[Run]]:
    """Parts of at most ``most``, of nearly the same size."""
    size = -(-len(runs) // -(-len(runs) // most))
    return [runs[i : i + size] for i in range(0, len(runs), size)]


def _lock(place: Path, timeout: float) -> Any:
    # Not thread-local: an engine may ask and release in different threads. No soft lock where the file
    # system has no real ones: that of a process which was killed would stay for ever.
    return filelock.FileLock(place / LOCK, timeout=timeout, thread_local=False, fallback_to_soft=False)


@contextlib.contextmanager
def alone(place: Path, timeout: float = PATIENCE) -> Iterator[None]:
    """Hold a task's lock. Where the file system has none, two may do the same: files appear whole."""
    lock = _lock(place, timeout)
    try:
        lock.acquire()
    except OSError as error:
        if isinstance(error, filelock.Timeout) or error.errno not in LOCKLESS:
            raise
        yield
        return
    try:
        yield
    finally:
        lock.release()


def report(work: Work, task: Task, reason: str, details: str = "") -> None:
    """Keep why a task failed, for `disentangle status` and for people."""
    with contextlib.suppress(OSError):  # the disk may be what failed
        work.place(task).mkdir(parents=True, exist_ok=True)
        (work.place(task) / ERROR).write_text(f"{reason}\n\n{details}")
