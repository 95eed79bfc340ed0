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
from disentangle.data import FactorData
from disentangle.encode import encode, evaluation_rows
from disentangle.errors import InputError
from disentangle.parallel import Outcome, run_all
from disentangle.rows import Row, is_complete, make_row, read_row, write_row
from disentangle.run import Run
from disentangle.score import score
from disentangle.study import Study, Task, plan, resolve_sources
from disentangle.train import choose_device, train

POLL = 1.0  # seconds between looks at runs that another command holds


def carry_out(
    study: Study,
    folder: Path,
    *,
    workers: int = 1,
    device: str = "auto",
    checkpoint_every: int = 500,
    say: Callable[[str], None] = tqdm.write,
) -> list[Outcome]:
    """Train and score everything of the study that has no row yet.

    Any process may be killed at any moment: the command run again goes on from the rows and
    checkpoints that exist. Two commands on one study share the work.

    Args:
        study: what to do.
        folder: the study's folder; rows, pictures and, under ``work/``, checkpoints go there.
        workers: processes, each with one thread on a CPU.
        device: see `train`.
        checkpoint_every: steps between checkpoints.
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
        perform, study=study, folder=folder, device=target, checkpoint_every=checkpoint_every
    )
    found: dict[str, Outcome] = {}
    # The other command may die and leave its runs to us, hence again and again.
    while waiting := [t for t in left if found.get(t.key(), Outcome("", "held")).status == "held"]:
        if found:
            time.sleep(POLL)
        for outcome in run_all(do, waiting, folder / "work", workers):
            if found.get(outcome.key) != outcome:
                ended = sum(o.status != "held" for o in [*found.values(), outcome])
                say(f"[{ended}/{len(left)}] {outcome.status}: {outcome.message}")
            found[outcome.key] = outcome
    return [found.get(t.key(), Outcome(t.key(), "done")) for t in tasks]


def perform(task: Task, *, study: Study, folder: Path, device: str, checkpoint_every: int) -> Outcome:
    """Do one task unless another process holds it; a mistake or failure is told, not raised."""
    work, began = folder / "work" / task.key(), time.perf_counter()
    name = f"{task.label()} on {task.dataset}, seed {task.seed}"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(work / "lock", timeout=0):
            row = read_row(_row_path(folder, task))
            if row is None or not is_complete(row, study.metric_ids()):
                row = _do(task, study, folder, work, device, checkpoint_every)
                write_row(folder, row)
            return Outcome(task.key(), row["status"], f"{name} ({time.perf_counter() - began:.0f} s)")
    except filelock.Timeout:
        return Outcome(task.key(), "held", f"{name}, by another command; waiting for it")
    except Exception as error:  # one run's failure must not take the study along
        with contextlib.suppress(OSError):  # the disk may be what failed
            (work / "error.txt").write_text(traceback.format_exc())
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return Outcome(task.key(), "failed", f"{name}: {reason} (traceback in {work / 'error.txt'})")


def _do(task: Task, study: Study, folder: Path, work: Path, device: str, checkpoint_every: int) -> Row:
    data = load_once(task.dataset, task.source).to(device)
    rows = evaluation_rows(data, study.rows)
    record = functools.partial(make_row, task, study.name, data, study.rows)
    began, extra = time.perf_counter(), dict[str, Any]()
    if isinstance(task, Calibration):
        codes, seconds = task.codes(data, rows), {"train": 0.0}
        seconds["encode"] = time.perf_counter() - began
    else:
        [trained] = train(
            [task], data, work.parent, device=device, checkpoint_every=checkpoint_every, progress=False
        )
        extra = {"status": trained.status, "step": trained.step, "values": trained.values}
        seconds = {"train": trained.seconds}
        if trained.status == "diverged":
            return record([], seconds, **extra)
        began = time.perf_counter()
        cache = work / ("codes.npy" if study.rows is None else f"codes-{study.rows}.npy")
        codes = encode(task, trained.model, data, rows, cache=cache)
        seconds["encode"] = time.perf_counter() - began
        extra["pictures"] = _pictures(task, trained.model, data, folder)
    began = time.perf_counter()
    scores = score(codes, data.factors(rows), study.metric_specs(), seed=task.seed, rows=study.rows)
    seconds["score"] = time.perf_counter() - began
    return record(scores, seconds, **extra)


def _pictures(run: Run, model: Any, data: FactorData, folder: Path) -> list[str]:
    from disentangle.pictures import reconstructions, traversal

    names = []
    for kind, draw in (("reconstructions", reconstructions), ("traversal", traversal)):
        path = folder / "pictures" / f"{run.dataset}-{run.method}-{run.key()[:8]}-{kind}.png"
        draw(run, model, data, path)
        names.append(path.relative_to(folder).as_posix())
    return names


@functools.lru_cache(maxsize=2)
def load_once(dataset: str, source: str) -> FactorData:
    """A data set, kept for the next run of this process."""
    return find.get("dataset", dataset).load(source)


def _row_path(folder: Path, task: Task) -> Path:
    return folder / "rows" / f"{task.key()}.json"
