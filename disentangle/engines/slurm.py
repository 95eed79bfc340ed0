"""A Slurm cluster, through submitit. Extra ``disentangle-bench[slurm]``."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from disentangle.checkpoint import CHECKPOINT
from disentangle.engines import _nodes
from disentangle.errors import InputError
from disentangle.files import write_bytes
from disentangle.find import Engine
from disentangle.finished import RESULT
from disentangle.outcome import ATTEMPTS, Outcome
from disentangle.stopping import check_stopped
from disentangle.study import Task
from disentangle.work import Work

LOST = 30.0  # seconds that a job must be missing: a controller that restarts forgets, a network disk lags
TIMES_UP = 10_000  # how often a job may reach its time limit, as long as it gets further each time
SIGNAL = 60  # seconds before its time is over that a job is told, to be put into the queue again


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``--option NAME=VALUE`` sets.

    Attributes:
        partition, account, qos: as for sbatch; the cluster's defaults if left out.
        minutes: time limit of a job, 10 or more; one that reaches it is put into the queue again and goes on.
        cpus: cores per job.
        gpus: GPUs per job.
        memory: per job, such as ``"8G"``; the cluster's default if left out.
        runs: runs per job; if 0 one on a CPU, 64 alike ones on a GPU.
        setup: a line of shell before the job, such as ``"module load cuda"``.
        sbatch: further options without their dashes, such as ``"constraint=h100,nice=100,exclusive"``.
        poll: seconds between looks at Slurm's queue, whose controller serves everybody.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    minutes: Annotated[int, msgspec.Meta(ge=10)] = 240
    cpus: Annotated[int, msgspec.Meta(ge=1)] = 1
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0
    memory: str = ""
    runs: Annotated[int, msgspec.Meta(ge=0)] = 0
    setup: str = ""
    sbatch: str = ""
    poll: Annotated[float, msgspec.Meta(gt=0)] = 5.0

    def parameters(self, name: str) -> dict[str, Any]:
        """What submitit is told."""
        pairs = [option.partition("=") for option in self.sbatch.split(",") if option]
        more = {name: value if equals else True for name, equals, value in pairs}
        wanted = {
            "slurm_partition": self.partition,
            "slurm_account": self.account,
            "slurm_qos": self.qos,
            "slurm_mem": self.memory,
            "slurm_gpus_per_node": self.gpus,
            "slurm_setup": [self.setup] if self.setup else None,
            "slurm_additional_parameters": more,
        }
        return {
            "name": name,
            "timeout_min": self.minutes,
            "cpus_per_task": self.cpus,
            "slurm_srun_args": [f"--cpus-per-task={self.cpus}"],  # which srun no longer takes from sbatch
            "slurm_signal_delay_s": SIGNAL,
            "stderr_to_stdout": True,
            **{key: value for key, value in wanted.items() if value},
        }


def cut(work: Work, tasks: list[Task], settings: Settings) -> list[list[Task]]:
    """Tasks for one job each."""
    return _nodes.cut(work, tasks, settings.runs, settings.gpus)


@dataclass
class Job:
    """What runs as one Slurm job; a file names its outcomes, so that any later driver can read them.

    Slurm may run it again from the beginning (a lost node, `scontrol requeue`, its time over): it then
    goes on from the checkpoints.
    """

    work: Work
    tasks: list[Task]
    settings: Settings
    told: Path
    before: list[int] = field(default_factory=list)
    stuck: int = 0

    def __call__(self) -> None:
        found = _nodes.do_chunk(self.work, self.tasks, self.settings.cpus, self.settings.gpus)
        write_bytes(self.told, msgspec.json.encode(found))

    def checkpoint(self) -> Any:
        """What submitit puts into the queue in its place when its time is over or others go first.

        Nothing, if it was no further than the last times: its limit is too short, which the study tells.
        """
        from submitit.helpers import DelayedSubmission

        now = self.progress()
        self.stuck = self.stuck + 1 if now == self.before else 0
        self.before = now
        return DelayedSubmission(self) if self.stuck < ATTEMPTS else None

    def progress(self) -> list[int]:
        """When each file that a run goes on from was written."""
        found = []
        for task in self.tasks:
            place = self.work.place(task)
            for path in (place / CHECKPOINT, place / RESULT, *sorted(place.glob("codes*.npy"))):
                with contextlib.suppress(OSError):
                    found.append(path.stat().st_mtime_ns)
        return found


def run(
    work: Work,
    queue: deque[list[Task]],
    workers: int,
    settings: Settings,
    show: Callable[[Iterable[str]], None],
) -> Iterator[Outcome]:
    """Do what is in the queue as Slurm jobs, at most ``workers`` of them queued or running at once.

    Jobs outlive a driver that is killed: the same command again finds those it has left in the queue and
    waits for them. A driver that is interrupted cancels its jobs.
    """
    cluster = Cluster(work, settings)
    running, missing, refused = cluster.adopt(queue), dict[str, int](), 0
    try:
        while queue or running:
            check_stopped()
            room = [queue.popleft() for _ in range(max(0, min(len(queue), workers - len(running))))]
            try:
                running |= dict(zip(cluster.submit(room), room, strict=True)) if room else {}
                refused = 0 if room else refused
            except InputError:  # a controller that restarts, or too many jobs of this user
                queue.extendleft(reversed(room))
                refused += 1
                if refused >= ATTEMPTS and not running:
                    raise
            time.sleep(settings.poll)
            show(task.key() for tasks in running.values() for task in tasks)
            alive = cluster.alive()
            for name in list(running) if alive is not None else ():
                missing[name] = 0 if name in (alive or ()) else missing.get(name, 0) + 1
                found = cluster.told(name)
                if missing[name] and (found is not None or missing[name] * settings.poll >= LOST):
                    tasks = running.pop(name)
                    yield from _nodes.outcomes_of(work, tasks, found, cluster.reason(name))
                    cluster.forget(name)
    finally:
        cluster.cancel(running)


class Cluster:
    """Slurm as this engine sees it: submit, look, cancel; and a file per job about what is its."""

    def __init__(self, work: Work, settings: Settings) -> None:
        for needed in ("sbatch", "squeue", "scancel"):
            if shutil.which(needed) is None:
                raise InputError(f"{needed} is not here: run this where Slurm's commands are")
        try:
            from submitit import AutoExecutor
        except ImportError:
            raise InputError(
                "the engine slurm is not installed: pip install 'disentangle-bench[slurm]'"
            ) from None
        self.work, self.settings = work, settings
        self.folder = work.folder / "slurm"
        self.name = f"disentangle-{work.study.name}"
        self.executor = AutoExecutor(
            folder=self.folder / "logs", cluster="slurm", slurm_max_num_timeout=TIMES_UP
        )
        try:
            self.executor.update_parameters(**settings.parameters(self.name))
        except ValueError as error:
            raise InputError(f"slurm option: {error}") from None

    def submit(self, parts: Sequence[list[Task]]) -> list[str]:
        """Submit a job for each part, as one array where there are several; their ids."""
        stamp = f"{os.getpid()}-{time.monotonic_ns()}"
        told = [self.folder / "told" / f"{stamp}-{i}.json" for i in range(len(parts))]
        jobs = [Job(self.work, part, self.settings, place) for part, place in zip(parts, told, strict=True)]
        try:
            if len(jobs) == 1:
                made = [self.executor.submit(jobs[0])]
            else:
                with self.executor.batch():
                    made = [self.executor.submit(job) for job in jobs]
        except Exception as error:  # submitit's own errors, with sbatch's words in them
            raise InputError(f"sbatch refused the jobs: {_last_line(error)}") from None
        names = [str(job.job_id) for job in made]
        for name, part, place in zip(names, parts, told, strict=True):
            about = {"told": place.name, "keys": [task.key() for task in part]}
            write_bytes(self._about(name), msgspec.json.encode(about))
        return names

    def adopt(self, queue: deque[list[Task]]) -> dict[str, list[Task]]:
        """The jobs that a driver before this one has left in Slurm's queue; their tasks leave ours."""
        tasks = {task.key(): task for part in queue for task in part}
        alive = self.alive()
        adopted = {}
        for path in sorted((self.folder / "jobs").glob("*.json")):
            own = [tasks[key] for key in self._read(path.stem).get("keys", ()) if key in tasks]
            if alive is None or path.stem in alive:
                if own:
                    adopted[path.stem] = own
            else:
                self.forget(path.stem)
        taken = {task.key() for part in adopted.values() for task in part}
        left = [[task for task in part if task.key() not in taken] for part in queue]
        queue.clear()
        queue.extend(part for part in left if part)
        return adopted

    def alive(self) -> set[str] | None:
        """The ids of this study's jobs that wait or run; None while Slurm does not answer."""
        command = ["squeue", "--noheader", "--array", "--me", f"--name={self.name}", "--format=%i %t"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        ended = {"CD", "CA", "F", "TO", "NF", "OOM", "DL", "BF"}
        lines = (line.split() for line in done.stdout.splitlines())
        return {name for name, state in lines if state not in ended}

    def told(self, name: str) -> list[Outcome] | None:
        """The outcomes that a job wrote before it ended, if it did."""
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            content = (self.folder / "told" / self._read(name)["told"]).read_bytes()
            return msgspec.json.decode(content, type=list[Outcome])
        return None

    def reason(self, name: str) -> str:
        """Where to look for why a job ended."""
        return f"Slurm job {name} ended without a result (see {self.folder / 'logs' / name}_0_log.out)"

    def forget(self, name: str) -> None:
        """Drop what is kept about a job that has ended."""
        if told := self._read(name).get("told"):
            (self.folder / "told" / told).unlink(missing_ok=True)
        for left in (f"{name}_submitted.pkl", f"{name}_0_result.pkl"):  # submitit's; its logs stay
            (self.folder / "logs" / left).unlink(missing_ok=True)
        self._about(name).unlink(missing_ok=True)

    def cancel(self, names: Iterable[str]) -> None:
        """Take jobs out of Slurm's queue."""
        if found := list(names):
            with contextlib.suppress(OSError):
                subprocess.run(["scancel", *found], capture_output=True, check=False)
            for name in found:
                self.forget(name)

    def _about(self, name: str) -> Path:
        return self.folder / "jobs" / f"{name}.json"

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = msgspec.json.decode(self._about(name).read_bytes(), type=dict)
        except (OSError, msgspec.DecodeError):
            return {}
        return found


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


ENGINE = Engine(title="a Slurm cluster", settings=Settings, cut=cut, run=run)
