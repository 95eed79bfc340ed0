"""Run the tasks of a study in parallel processes, on one machine, past the death of any of them."""

from __future__ import annotations

import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
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
        one_thread()  # as in a worker process: the numbers must not depend on it
        yield from map(do, tasks)
        return
    with _Bar(tasks, work) as bar:
        for outcome in _parallel(do, tasks, workers, bar):
            bar.ended(outcome.key)
            yield outcome


def one_thread() -> None:
    """Have this process compute on one core, so that its numbers are those of every other."""
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

    pool = ProcessPoolExecutor(max_workers=min(workers, len(tasks)), initializer=one_thread)
    waiting, running, whole = deque(tasks), dict[Any, str](), False
    try:
        while waiting or running:
            # No more at once than can run: what loky has queued, an interruption cannot take back.
            while waiting and len(running) < workers:
                task = waiting.popleft()
                running[pool.submit(_marked, do, task, markers)] = task.key()
            done, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
            bar.show(running.values())
            for future in done:
                del running[future]
                yield future.result()
        whole = True
    except BrokenProcessPool as error:
        tqdm.write(f"a worker process died ({type(error).__name__}); going on with a new one")
        if not any(markers.iterdir()):  # it died before any task began
            for task in tasks:
                (markers / task.key()).touch()
    finally:  # on an interruption too, and at once: rows and checkpoints are whole files
        pool.shutdown(wait=True, kill_workers=not whole)


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
        self.bar = tqdm(
            total=len(tasks),
            disable=None,
            leave=False,
            bar_format="{n_fmt}/{total_fmt} rows {elapsed}{postfix}",
        )

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def ended(self, key: str) -> None:
        self.runs.pop(key, None)
        self.bar.update()

    def show(self, keys: Iterable[str]) -> None:
        if not self.bar.disable:
            runs = [self.runs[key] for key in keys if key in self.runs]
            self.bar.set_postfix_str(" | ".join(_state(run, read_log(self.work / run.key())) for run in runs))


def _state(run: Run, lines: list[dict[str, float]]) -> str:
    """Where a run is, in few words: two of them must fit on a line."""
    name, last = f"{run.label()} s{run.seed}", lines[-1] if lines else None
    if last is None:
        return f"{name} starts"
    if last["step"] >= run.steps:
        return f"{name} is scored"
    minutes = (run.steps - last["step"]) * last["seconds"] / last["step"] / 60
    return (
        f"{name} {last['step']}/{run.steps} elbo {last.get('elbo', -last['objective']):.0f} {minutes:.0f} min"
    )
