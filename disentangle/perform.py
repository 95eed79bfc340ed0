"""Do one task of a study, wherever: train, encode, score, write the row."""

from __future__ import annotations

import contextlib
import errno
import functools
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import filelock
from tqdm import tqdm

from disentangle import find, matrices, pictures
from disentangle.calibrate import Calibration
from disentangle.data import FactorData
from disentangle.encode import cache_file, encode, evaluation_rows
from disentangle.errors import InputError
from disentangle.files import clear_unfinished
from disentangle.finished import Result, is_finished, read_result
from disentangle.job import Trained
from disentangle.loggers import open_loggers
from disentangle.outcome import Outcome
from disentangle.ranking import Ranking, ranked
from disentangle.rows import Row, extended, make_row, write_row
from disentangle.run import Run
from disentangle.score import Score, score
from disentangle.study import Task, named
from disentangle.train import groups, train
from disentangle.weak import weak_reconstruction
from disentangle.work import ERROR, Work, alone, report

CLAIM = 256  # runs that are trained together before others are claimed
# No other task can be done either while this lasts.
HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def train_together(work: Work, tasks: Sequence[Task], device: str, encoded: bool = False) -> list[str]:
    """Train what of the tasks is not trained and nobody else holds, in stacks of alike runs.

    Runs are claimed some hundreds at a time: another command on the study finds work too, and a process
    may not have a thousand locks open. Whatever fails is tried again, and told, when its own turn comes.

    Args:
        work: how.
        tasks: what; all but runs are passed over.
        device: where.
        encoded: also encode the images with each model, so that scoring needs no GPU; this is one of several
            processes then.

    Returns:
        What went wrong, for people.
    """
    problems: list[str] = []
    left = [t for t in tasks if isinstance(t, Run) and not is_finished(work.place(t))]
    for group in groups(left):
        for start in range(0, len(group), CLAIM):
            held = group[start : start + CLAIM]
            with contextlib.ExitStack() as locks:
                try:
                    held = [run for run in held if _claimed(work.place(run), locks)]
                    if held:
                        _train_held(work, held, device, encoded)
                except Exception as error:  # one method's failure must not take the study along
                    reason = (str(error).splitlines() or [""])[0]
                    problems.append(
                        f"{len(held)} runs of {group[0].method} on {group[0].dataset} could not be trained "
                        f"together: {type(error).__name__}: {reason}"
                    )
    return problems


def _train_held(work: Work, runs: list[Run], device: str, encoded: bool) -> None:
    data = load_once(runs[0].dataset, runs[0].source, device)
    done = train(
        runs, data, work.folder / "runs", device=device, stack=work.stack,
        checkpoint_every=work.checkpoint_every, loggers=work.loggers,
        progress=not encoded,  # where others train too, one bar shows all
    )  # fmt: skip
    for trained in done if encoded else ():
        if trained.status == "done":
            cache = cache_file(work.place(trained.run), work.study.rows)
            encode(trained.run, trained.model, data, evaluation_rows(data, work.study.rows), cache=cache)


def _claimed(place: Path, locks: contextlib.ExitStack) -> bool:
    """Take a run's lock, unless another process has it."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        locks.enter_context(alone(place, 0))
    except filelock.Timeout:
        return False
    return True


def perform(work: Work, task: Task, device: str, progress: bool = False) -> Outcome:
    """Do one task unless another process holds it; a mistake or failure is told, not raised."""
    place, began, key = work.place(task), time.perf_counter(), task.key()
    name = named(task)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with alone(place):
            if work.is_done(task):
                status = (work.row(task) or {}).get("status", "done")
                return Outcome(key, status, f"{name}, by another command")
            row, problems = _do(work, task, device, progress)
            clear_unfinished(place)
            write_row(work.folder, row, place)
            _tidy(work, task)
        if problems:
            report(work, task, "; ".join(problems))
            return Outcome(key, "failed", f"{name}: {'; '.join(problems)}")
        return Outcome(key, row["status"], f"{name} ({time.perf_counter() - began:.0f} s)")
    except filelock.Timeout:
        return Outcome(key, "held", f"{name}, by another command; waiting for it")
    except Exception as error:  # one run's failure must not take the study along
        mistake = isinstance(error, InputError)
        reason = str(error) if mistake else f"{type(error).__name__}: {error}"
        report(work, task, reason, traceback.format_exc())
        stop = isinstance(error, OSError) and error.errno in HOPELESS
        where = f" (traceback in {place / ERROR})"
        return Outcome(key, "failed", f"{name}: {reason}{where}", again=not (mistake or stop), stop=stop)


def _tidy(work: Work, task: Task) -> None:
    """Drop what a task with a row needs no longer."""
    (work.place(task) / ERROR).unlink(missing_ok=True)
    if work.lean:
        for codes in work.place(task).glob("codes*.npy"):
            codes.unlink()


def _do(work: Work, task: Task, device: str, progress: bool) -> tuple[Row, list[str]]:
    """The task's row, and what went wrong with single metrics.

    A row that lacks metrics keeps its scores and what it says of its training, if the trained model
    is still there; each score added names the software that computed it.
    """
    study = work.study
    data, old = load_once(task.dataset, task.source, device), work.row(task)
    if isinstance(task, Ranking):  # a model that is damaged or gone is trained again
        models = train(task.runs, data, work.folder / "runs", device=device, stack=1, progress=progress)
        return ranked(task, study.name, models, data), []
    rows = evaluation_rows(data, study.rows)
    began, extra, seconds = time.perf_counter(), dict[str, Any](), dict[str, float]()
    label_free: list[Score] = []
    if isinstance(task, Calibration):
        codes = task.codes(data, rows)
    else:
        trained, result = _trained(work, task, data, device, progress)
        if old is not None and old.get("model_sha256") != result.model_sha256:
            old = None  # it tells of another model, which is gone
        extra, seconds["train"] = {"result": result}, trained.seconds
        if trained.status == "diverged":
            return make_row(task, study.name, data, study.rows, [], seconds, **extra), []
        began = time.perf_counter()
        codes = encode(task, trained.model, data, rows, cache=cache_file(work.place(task), study.rows))
        if old is None and study.shows(task):
            extra["pictures"] = _draw_pictures(task, trained.model, data, work.folder)
    seconds["encode"] = time.perf_counter() - began
    have = set() if old is None else {s["id"] for s in old["scores"]}
    if isinstance(task, Run) and set(work.label_free_ids(task)) - have:
        label_free = [weak_reconstruction(task, trained.model, data)]
    began = time.perf_counter()
    scores, problems = _scores(work, task, codes, data.factors(rows), have)
    seconds["score"] = time.perf_counter() - began
    row = make_row(task, study.name, data, study.rows, [*scores, *label_free], seconds, **extra)
    row = row if old is None else extended(old, row)
    if study.shows(task):
        _draw_matrices(task, row, work.folder)
    _log_scores(work, task, scores)
    return row, problems


def _trained(work: Work, run: Run, data: FactorData, device: str, progress: bool) -> tuple[Trained, Result]:
    """The run's model, trained if it is not yet, and what its folder says of it."""
    place = work.place(run)
    [trained] = train(
        [run], data, place.parent, device=device, stack=1,
        checkpoint_every=work.checkpoint_every, progress=progress, loggers=work.loggers,
    )  # fmt: skip
    result = read_result(place)
    if result is None:
        raise OSError(f"{place}: the result is gone as soon as it was written")
    result.check(data, place)
    return trained, result


def _scores(
    work: Work, task: Run | Calibration, codes: Any, factors: Any, have: set[str]
) -> tuple[list[Score], list[str]]:
    """The scores that are missing and can be had, and a message for each metric that could not."""
    study = work.study
    scores, problems = list[Score](), list[str]()
    for spec, wanted in zip(study.metric_specs(), work.metric_ids, strict=True):
        if wanted in have:
            continue
        try:
            scores += score(codes, factors, [spec], seed=task.seed, rows=study.rows, repeats=study.repeats)
        except InputError as error:
            problems.append(f"{wanted}: {error}")
    return scores, problems


def _log_scores(work: Work, task: Task, scores: list[Score]) -> None:
    """Show the scores where the losses went."""
    if isinstance(task, Run) and work.loggers:
        with open_loggers(work.loggers, task, work.place(task), task.updates()) as loggers:
            for logger in loggers:
                logger.log(task.updates() + 1, {f"score/{s.name}": s.value for s in scores})


def _draw_pictures(run: Run, model: Any, data: FactorData, folder: Path) -> list[str]:
    names = []
    for kind, draw in pictures.KINDS.items():
        names.append(f"pictures/{_stem(run)}-{kind}")
        draw(run, model, data, folder / names[-1])
    return names


def _stem(task: Run | Calibration) -> str:
    """What the names of a task's pictures begin with."""
    what = task.method if isinstance(task, Run) else task.name
    return f"{task.dataset}-{what}-{task.key()[:8]}"


def _draw_matrices(task: Run | Calibration, row: Row, folder: Path) -> None:
    """Draw what the row has of each code and factor, and name the picture in it."""
    if row["matrices"]:
        name = f"pictures/{_stem(task)}-matrices.png"
        title = pictures.title(task, "what each code tells of each factor")
        matrices.draw(title, row["matrices"], row["data"]["factors"], folder / name)
        row["pictures"] = list(dict.fromkeys([*row["pictures"], name]))


@functools.lru_cache(maxsize=2)
def load_once(dataset: str, source: str, device: str) -> FactorData:
    """A data set on its device, kept for the next run of this process."""
    return find.get("dataset", dataset).load(source).to(device)


def say_problems(problems: Sequence[str]) -> None:
    """Tell what could not be trained together; each of these runs has its own turn after."""
    for problem in problems:
        tqdm.write(problem)
