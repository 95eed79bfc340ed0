"""What the engines of several machines share: what a node does, and what became of it."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator

from disentangle.engines import local
from disentangle.outcome import Outcome
from disentangle.study import Task, named
from disentangle.train import choose_device
from disentangle.work import Work, chunks

RUNS_PER_GPU_JOB = 64  # alike runs that one job trains as stacks


def cut(work: Work, tasks: list[Task], runs: int, gpus: float) -> list[list[Task]]:
    """Tasks for one job each: ``runs`` alike ones, or if that is 0 one, or what fills a GPU."""
    most = runs or (RUNS_PER_GPU_JOB if gpus else 1)
    if gpus:
        return chunks(work, tasks, most)
    return [tasks[i : i + most] for i in range(0, len(tasks), most)]


def do_chunk(work: Work, tasks: list[Task], workers: int, gpus: float = 0) -> list[Outcome]:
    """Do tasks on the machine that this is called on, as the local engine does.

    Runs in a process of the cluster's; the study's folder must be the same there. A job that asked for
    no GPU takes none, even where it sees one.
    """
    device = "cpu" if work.device == "auto" and not gpus else str(choose_device(work.device))
    here = dataclasses.replace(work, device=device)
    queue = deque(local.cut(here, tasks, local.Settings()))
    return list(local.run(here, queue, workers, local.Settings(), lambda keys: None))


def outcomes_of(
    work: Work, tasks: list[Task], found: list[Outcome] | None, reason: str = ""
) -> Iterator[Outcome]:
    """One outcome per task: what the node told, or else what its files tell.

    Args:
        work: the study.
        tasks: what the node was given.
        found: what it told; None if it died.
        reason: why it died.
    """
    told = {outcome.key: outcome for outcome in found or ()}
    for task in tasks:
        outcome = told.get(task.key())
        if outcome is not None and outcome.status not in ("done", "diverged"):
            yield outcome
        elif work.is_done(task):  # what it told, or what it did before it died
            status = (work.row(task) or {}).get("status", "done")
            yield outcome or Outcome(task.key(), status, named(task))
        else:
            # A job of an earlier driver may have done what the study asked for then.
            yield local.died(work, task, reason if found is None else "its row lacks what the study asks for")
