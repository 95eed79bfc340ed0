"""Run the tasks of a study in parallel processes, on one machine, past the death of any of them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from disentangle.checkpoint import read_log
from disentangle.run import Run
from disentangle.study import Task

ATTEMPTS = 3  # of a task whose process died
POLL = 1.0  # seconds between looks at the logs of the runs in progress


@dataclass(frozen=True)
class Outcome:
    """What became of a task: ``"done"``, ``"diverged"``, ``"held"`` by another command, or ``"failed"``."""

    key: str
    status: str
    message: str = ""


def run_all(do: Callable[[Task], Outcome], tasks: list[Task], work: Path, workers: int) -> Iterator[Outcome]:
    """The outcomes of all tasks, as they come: in this process, or in ``workers`` others."""

    if workers == 1:
        _one_thread()  # as in a worker process: the numbers must not depend on it
        yield from map(do, tasks)
        return
    with _Bar(tasks, work) as bar:
        for outcome in _parallel(do, tasks, workers, bar):
            bar.ended(outcome.key)
            yield outcome


def _one_thread() -> None:
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)  # NumPy's and scikit-learn's, in the metrics


def _parallel(do: Callable[[Task], Outcome], tasks: list[Task], workers: int, bar: _Bar) -> Iterator[Outcome]:
    """Run tasks in loky's processes, and again those that a dying process took along.

    A task that was under way when a process died is a suspect: suspects run last and one at a time,
    so that only the guilty one uses up its attempts.
    """
    left, deaths = {task.key(): task for task in tasks}, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        markers = Path(folder)
        while left:
            free = [task for key, task in left.items() if not deaths[key]]
            for outcome in _until_death(do, free or [next(iter(left.values()))], workers, bar, markers):
                del left[outcome.key]
                yield outcome
            dead = [path.name for path in markers.iterdir()]
            for key in dead:
                (markers / key).unlink()
            deaths.update(dead)
            for key in [k for k in left if deaths[k] >= ATTEMPTS]:
                task = left.pop(key)
                yield Outcome(key, "failed", f"{task.label()}: its worker process died {ATTEMPTS} times")


def _until_death(
    do: Callable[[Task], Outcome], tasks: list[Task], workers: int, bar: _Bar, markers: Path
) -> Iterator[Outcome]:
    """Outcomes until all tasks are done or a worker dies; ``markers`` then names those under way."""
    from joblib.externals.loky import ProcessPoolExecutor

    pool = ProcessPoolExecutor(max_workers=min(workers, len(tasks)), initializer=_one_thread)
    try:
        futures = {pool.submit(_marked, do, task, markers): task.key() for task in tasks}
        for future in bar.watch(futures):
            yield future.result()
    except BrokenProcessPool as error:
        tqdm.write(f"a worker process died ({type(error).__name__}); going on with a new one")
        if not any(markers.iterdir()):  # it died before any task began
            for task in tasks:
                (markers / task.key()).touch()
    finally:  # on an interruption too, and at once: rows and checkpoints are whole files
        pool.shutdown(wait=True, kill_workers=True)


def _marked(do: Callable[[Task], Outcome], task: Task, markers: Path) -> Outcome:
    """Do a task, with a file that stays behind if the process dies under it."""
    marker = markers / task.key()
    marker.touch()
    outcome = do(task)
    marker.unlink()
    return outcome


class _Bar:
    """One progress bar over all rows, with what each running one is doing, read from their logs."""

    def __init__(self, tasks: list[Task], work: Path) -> None:
        self.work = work
        self.runs = {t.key(): t for t in tasks if isinstance(t, Run)}
        self.bar = tqdm(total=len(tasks), desc="rows", unit="row", disable=None, leave=False)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def ended(self, key: str) -> None:
        self.runs.pop(key, None)
        self.bar.update()

    def watch(self, futures: dict[Any, str]) -> Iterator[Any]:
        """`as_completed`, showing the state of the running ones while it waits."""
        left = set(futures)
        while left:
            try:
                for future in as_completed(left, timeout=POLL):
                    left.discard(future)
                    yield future
            except TimeoutError:
                self._show({futures[f] for f in left if f.running()})

    def _show(self, keys: set[str]) -> None:
        if self.bar.disable:
            return
        states = []
        for key in keys & self.runs.keys():
            run, lines = self.runs[key], read_log(self.work / key)
            if lines:
                states.append(f"{run.label()} seed {run.seed}: {_state(run, lines[-1])}")
        self.bar.set_postfix_str(" | ".join(sorted(states)))


def _state(run: Run, last: dict[str, float]) -> str:
    """A log line for people: step, speed, time left and what the loss is made of."""
    speed = last["step"] / max(last["seconds"], 1e-9)
    left = (run.steps - last["step"]) / speed / 60
    parts = " ".join(f"{k} {v:.0f}" for k, v in last.items() if k not in ("step", "seconds", "objective"))
    return f"{last['step']}/{run.steps} {speed:.1f} steps/s, {left:.0f} min left, {parts}"
