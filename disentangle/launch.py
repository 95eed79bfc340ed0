"""Carry out a study: what is left of the plan, on this machine, however often it was stopped."""

from __future__ import annotations

import contextlib
import functools
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
from tqdm import tqdm

from disentangle import find
from disentangle.calibrate import Calibration
from disentangle.checkpoint import is_finished
from disentangle.data import FactorData
from disentangle.encode import cache_file, encode, evaluation_rows
from disentangle.errors import InputError
from disentangle.job import Trained
from disentangle.parallel import Outcome, one_thread, run_all
from disentangle.rows import Row, extended, is_complete, make_row, read_row, write_row
from disentangle.run import Run
from disentangle.score import Score, metric_id, score
from disentangle.study import Study, Task, plan, resolve_sources
from disentangle.train import choose_device, groups, train

CLAIM = 256  # runs that are trained together before others are claimed
POLL = 1.0  # seconds between looks at runs that another command holds


def carry_out(
    study: Study,
    folder: Path,
    *,
    workers: int = 1,
    device: str = "auto",
    stack: int | None = None,
    checkpoint_every: int | None = None,
    say: Callable[[str], None] = tqdm.write,
) -> list[Outcome]:
    """Train and score everything of the study that has no row yet.

    Any process may be killed at any moment: the command run again goes on from the rows and
    checkpoints that exist. Two commands on one study share the work.

    Args:
        study: what to do.
        folder: the study's folder; rows, pictures and, under ``work/``, checkpoints go there.
        workers: processes, each with one thread on a CPU.
        device, stack, checkpoint_every: see `disentangle.train.train`. Where a stack is more than one run,
            alike runs are trained together first, in this process, and then scored one by one.
        say: where messages for people go.

    Returns:
        One outcome per task, those that were complete before included.
    """
    target = str(choose_device(device))
    sources, ids = resolve_sources(study), study.metric_ids()
    tasks = plan(study, sources)
    left = [t for t in tasks if not is_complete(read_row(_row_path(folder, t)), ids)]
    say(f"{study.name}: {len(tasks)} rows planned, {len(tasks) - len(left)} exist, {len(left)} to do")
    say("data: " + ", ".join(f"{dataset} ({source})" for dataset, source in sources.items()))
    do = functools.partial(
        perform,
        study=study,
        folder=folder,
        device=target,
        checkpoint_every=checkpoint_every,
        progress=workers == 1,  # several at once share one bar instead
    )
    ended: dict[str, Outcome] = {}
    waiting, ready = left, left
    while waiting:
        if stacks(target, stack):
            train_together(ready, folder / "work", target, stack, checkpoint_every, say)
        for outcome in run_all(do, ready, folder / "work", workers) if ready else ():
            if outcome.status != "held":
                ended[outcome.key] = outcome
            say(f"[{len(ended)}/{len(left)}] {outcome.status}: {outcome.message}")
        waiting = [t for t in waiting if t.key() not in ended]
        # What another command holds it may finish, or leave to us by dying.
        ready = [t for t in waiting if not _is_held(folder / "work" / t.key())]
        if waiting and not ready:
            time.sleep(POLL)
    return [ended.get(t.key(), Outcome(t.key(), "done")) for t in tasks]


def _is_held(work: Path) -> bool:
    try:
        with filelock.FileLock(work / "lock", timeout=0):
            return False
    except filelock.Timeout:
        return True


def stacks(device: str, stack: int | None) -> bool:
    """Whether runs are trained together before each has its turn: asked for, or the custom of a GPU.

    >>> stacks("cpu", None), stacks("cpu", 8), stacks("cuda", None), stacks("cuda", 8), stacks("cuda", 1)
    (False, True, True, True, False)
    """
    return stack > 1 if stack is not None else device.startswith("cuda")


def train_together(
    tasks: list[Task],
    work: Path,
    device: str,
    stack: int | None,
    checkpoint_every: int | None,
    say: Callable[[str], None],
) -> None:
    """Train what of the tasks is not trained and nobody else holds, in stacks of alike runs.

    Runs are claimed some hundreds at a time: another command on the study finds work too, and a process
    may not have a thousand locks open. Whatever fails is tried again, and told, when its own turn comes.
    """
    one_thread()  # as every run alone
    left = [t for t in tasks if isinstance(t, Run) and not is_finished(work / t.key(), t.steps)]
    for group in groups(left):
        for start in range(0, len(group), CLAIM):
            with contextlib.ExitStack() as locks:
                held = [run for run in group[start : start + CLAIM] if _claimed(work / run.key(), locks)]
                if not held:
                    continue
                try:
                    train(
                        held, load_once(group[0].dataset, group[0].source, device), work,
                        device=device, stack=stack, checkpoint_every=checkpoint_every,
                    )  # fmt: skip
                except Exception as error:  # one method's failure must not take the study along
                    reason = (str(error).splitlines() or [""])[0]
                    say(
                        f"{len(held)} runs of {group[0].method} on {group[0].dataset} could not be trained "
                        f"together: {type(error).__name__}: {reason}"
                    )


def _claimed(place: Path, locks: contextlib.ExitStack) -> bool:
    """Take a run's lock, unless another process has it."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        locks.enter_context(filelock.FileLock(place / "lock", timeout=0))
    except filelock.Timeout:
        return False
    return True


def perform(
    task: Task,
    *,
    study: Study,
    folder: Path,
    device: str,
    checkpoint_every: int | None = None,
    progress: bool = False,
) -> Outcome:
    """Do one task unless another process holds it; a mistake or failure is told, not raised."""
    work, began = folder / "work" / task.key(), time.perf_counter()
    name = f"{task.label()} on {task.dataset}, seed {task.seed}"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(work / "lock", timeout=0):
            row = read_row(_row_path(folder, task))
            if row is not None and is_complete(row, study.metric_ids()):
                return Outcome(task.key(), row["status"], f"{name}, by another command")
            train_one = functools.partial(
                train,
                folder=work.parent,
                device=device,
                stack=1,
                checkpoint_every=checkpoint_every,
                progress=progress,
            )
            row, problems = _do(task, study, folder, work, device, train_one, row)
            write_row(folder, row)
        if problems:
            return Outcome(task.key(), "failed", f"{name}: {'; '.join(problems)}")
        return Outcome(task.key(), row["status"], f"{name} ({time.perf_counter() - began:.0f} s)")
    except filelock.Timeout:
        return Outcome(task.key(), "held", f"{name}, by another command; waiting for it")
    except Exception as error:  # one run's failure must not take the study along
        with contextlib.suppress(OSError):  # the disk may be what failed
            (work / "error.txt").write_text(traceback.format_exc())
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return Outcome(task.key(), "failed", f"{name}: {reason} (traceback in {work / 'error.txt'})")


def _do(
    task: Task,
    study: Study,
    folder: Path,
    work: Path,
    device: str,
    train_one: Callable[..., list[Trained]],
    old: Row | None,
) -> tuple[Row, list[str]]:
    """The task's row, and what went wrong with single metrics.

    A row that lacks metrics keeps its scores and what it says of its training, if the trained model
    is still there; each score added names the software that computed it.
    """
    data = load_once(task.dataset, task.source, device)
    rows = evaluation_rows(data, study.rows)
    began, extra, seconds = time.perf_counter(), dict[str, Any](), {"train": 0.0}
    if isinstance(task, Calibration):
        codes = task.codes(data, rows)
    else:
        old = old if is_finished(work, task.steps) else None
        [trained] = train_one([task], data)
        extra = {
            "status": trained.status,
            "step": trained.step,
            "values": trained.values,
            "stack": trained.stack,
        }
        seconds["train"] = trained.seconds
        if trained.status == "diverged":
            return make_row(task, study.name, data, study.rows, [], seconds, **extra), []
        began = time.perf_counter()
        codes = encode(task, trained.model, data, rows, cache=cache_file(work, study.rows))
        extra["pictures"] = _pictures(task, trained.model, data, folder) if old is None else old["pictures"]
    seconds["encode"] = time.perf_counter() - began
    have = set() if old is None else {s["id"] for s in old["scores"]}
    missing = [
        spec
        for spec, named in zip(study.metric_specs(), study.metric_ids(), strict=True)
        if named not in have
    ]
    began = time.perf_counter()
    scores, problems = _scores(task, codes, data.factors(rows), missing, study)
    seconds["score"] = time.perf_counter() - began
    row = make_row(task, study.name, data, study.rows, scores, seconds, **extra)
    return (row if old is None else extended(old, row)), problems


def _scores(
    task: Task, codes: Any, factors: Any, specs: list[Any], study: Study
) -> tuple[list[Score], list[str]]:
    """The scores that can be had, and a message for each metric that could not."""
    scores, problems = list[Score](), list[str]()
    for spec in specs:
        try:
            scores += score(codes, factors, [spec], seed=task.seed, rows=study.rows, repeats=study.repeats)
        except InputError as error:
            problems.append(f"{metric_id(spec, study.rows, repeats=study.repeats)}: {error}")
    return scores, problems


def _pictures(run: Run, model: Any, data: FactorData, folder: Path) -> list[str]:
    from disentangle.pictures import KINDS

    names = []
    for kind, draw in KINDS.items():
        path = folder / "pictures" / f"{run.dataset}-{run.method}-{run.key()[:8]}-{kind}.png"
        draw(run, model, data, path)
        names.append(path.relative_to(folder).as_posix())
    return names


@functools.lru_cache(maxsize=2)
def load_once(dataset: str, source: str, device: str) -> FactorData:
    """A data set on its device, kept for the next run of this process."""
    return find.get("dataset", dataset).load(source).to(device)


def _row_path(folder: Path, task: Task) -> Path:
    return folder / "rows" / f"{task.key()}.json"
