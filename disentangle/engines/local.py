"""This machine: a process per core, and on each GPU one that trains stacks of alike runs."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import msgspec

from disentangle.find import Engine
from disentangle.outcome import Outcome
from disentangle.perform import CLAIM, perform, say_problems, train_together
from disentangle.stopping import check_stopped
from disentangle.study import Task, named
from disentangle.work import Work, chunks, report, stacks

POLL = 1.0  # seconds between looks at what the runs in progress have logged


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set: ``--workers`` and ``--device`` say all."""


def cut(work: Work, tasks: list[Task], settings: Settings) -> list[list[Task]]:
    """Single tasks, or, where runs train together, alike runs for each GPU."""
    if not stacks(work.device, work.stack):
        return chunks(work, tasks, 1)
    share = -(-len(tasks) // len(devices(work.device)))
    return chunks(work, tasks, max(2, min(share, CLAIM)))


def run(
    work: Work,
    queue: deque[list[Task]],
    workers: int,
    settings: Settings,
    show: Callable[[Iterable[str]], None],
) -> Iterator[Outcome]:
    """Do what is in the queue, in this process if one worker and one device are enough, else in others.

    A worker that dies takes only its own tasks along: every worker is a loky executor of its own. One
    whose parent has died ends too, so that its locks are free for the next command.
    """
    if workers == 1 and len(devices(work.device)) == 1:
        yield from _here(work, queue)
        return
    slots, through = _Slots(work, workers), False
    try:
        yield from slots.outcomes(queue, show)
        through = True
    finally:  # on an interruption too, and then at once: rows and checkpoints are whole files
        slots.close(kill=not through)


def _here(work: Work, queue: deque[list[Task]]) -> Iterator[Outcome]:
    one_thread()  # as in a worker process: the numbers must not depend on it
    device = devices(work.device)[0]
    while queue:
        check_stopped()
        tasks = queue.popleft()
        if len(tasks) > 1:
            say_problems(train_together(work, tasks, device))
        for task in tasks:
            yield perform(work, task, device, progress=True)


def devices(device: str) -> list[str]:
    """The devices that one word stands for: ``"cuda"`` is every GPU that torch sees.

    >>> devices("cpu"), devices("cuda:1")
    (['cpu'], ['cuda:1'])
    """
    if device != "cuda":
        return [device]
    import torch

    return [f"cuda:{i}" for i in range(max(1, torch.cuda.device_count()))]


def one_thread() -> None:
    """Have this process compute on one core, so that its numbers are those of every other."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)  # NumPy's and scikit-learn's, in the metrics


def begin_worker(parent: int) -> None:
    """What a worker process does first."""
    one_thread()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Die as the parent dies: an orphan would hold its lock until the end of its task."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


class _Slot:
    """One worker process, for one device; a new one where the last has died."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._pool: Any = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        from joblib.externals.loky import ProcessPoolExecutor

        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=1, timeout=None, initializer=begin_worker, initargs=(os.getpid(),)
            )
        future: Future[Any] = self._pool.submit(function, *arguments)
        return future

    def end(self, kill: bool = True) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=kill)


class _Slots:
    """All worker processes, and what each is at.

    On a CPU a slot takes a task from beginning to end. Where there are GPUs theirs take what trains and
    encodes, and hand the rest, the scoring, to the slots of the CPU.
    """

    def __init__(self, work: Work, workers: int) -> None:
        self.work = work
        found = devices(work.device)
        self.accelerated = found != ["cpu"]
        self.slots = [_Slot(device) for device in (found if self.accelerated else [])]
        self.slots += [_Slot("cpu") for _ in range(workers)]
        self.training: deque[list[Task]] = deque()
        self.scoring: deque[list[Task]] = deque()
        self.running: dict[Future[Any], tuple[_Slot, list[Task]]] = {}

    def outcomes(self, queue: deque[list[Task]], show: Callable[[Iterable[str]], None]) -> Iterator[Outcome]:
        while queue or self.training or self.scoring or self.running:
            check_stopped()
            self._sort(queue)
            self._submit()
            done, _ = wait(self.running, timeout=POLL, return_when=FIRST_COMPLETED)
            show(task.key() for _, tasks in self.running.values() for task in tasks)
            for future in done:
                yield from self._ended(future, queue)

    def _sort(self, queue: deque[list[Task]]) -> None:
        """Decide once of each chunk who takes it: where it lies is on disk, and a study may be long."""
        while queue:
            tasks = queue.popleft()
            trains = self.accelerated and (len(tasks) > 1 or self.work.needs_device(tasks[0]))
            (self.training if trains else self.scoring).append(tasks)

    def _submit(self) -> None:
        busy = {id(slot) for slot, _ in self.running.values()}
        for slot in self.slots:
            mine = self.scoring if slot.device == "cpu" else self.training
            if id(slot) in busy or not mine:
                continue
            tasks = mine.popleft()
            if len(tasks) > 1:
                future = slot.submit(train_together, self.work, tasks, slot.device, self.accelerated)
            else:
                future = slot.submit(perform, self.work, tasks[0], slot.device)
            self.running[future] = (slot, tasks)

    def _ended(self, future: Future[Any], queue: deque[list[Task]]) -> Iterator[Outcome]:
        slot, tasks = self.running.pop(future)
        try:
            result = future.result()
        except BrokenProcessPool as error:
            slot.end()
            if len(tasks) > 1:  # one of them is guilty at most: the halves find it, and the rest stay stacks
                half = len(tasks) // 2
                say_problems([f"a process died ({_cause(error)}) that trained {len(tasks)} runs; halved"])
                queue.extend([tasks[:half], tasks[half:]])
                return
            yield from (died(self.work, task, f"its process died ({_cause(error)})") for task in tasks)
            return
        bad = result.again if isinstance(result, Outcome) else bool(result)
        if bad and slot.device != "cpu":  # a CUDA error can leave nothing to go on with in that process
            slot.end()
        if isinstance(result, Outcome):
            if result.stop:
                self.training.clear()
                self.scoring.clear()
            yield result
            return
        say_problems(result)
        # Those that it could not train, or that another held, need a device still.
        queue.extend([task] for task in tasks)

    def close(self, kill: bool) -> None:
        for slot in self.slots:
            slot.end(kill)


def _cause(error: BaseException) -> str:
    """The signal that killed a worker, from loky's many words."""
    found = re.search(r"exit codes of the workers are \{(.*)\}", str(error))
    return found[1] if found else type(error).__name__


def died(work: Work, task: Task, reason: str) -> Outcome:
    """The outcome of a task that somebody else's process could not tell of, kept for people too."""
    report(work, task, reason)
    return Outcome(task.key(), "failed", f"{named(task)}: {reason}", again=True)


ENGINE = Engine(
    title="this machine",
    settings=Settings,
    cut=cut,
    run=run,
)
