"""A Ray cluster: for several machines without Slurm. Extra ``disentangle-bench[ray]``."""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import msgspec

from disentangle.engines import _nodes
from disentangle.errors import InputError
from disentangle.find import Engine
from disentangle.outcome import Outcome
from disentangle.stopping import check_stopped
from disentangle.study import Task
from disentangle.work import Work

POLL = 1.0  # seconds between looks at what the runs in progress have logged
PASSED = ("DISENTANGLE_", "WANDB_")  # beginnings of the environment variables that nodes are to have
PATIENCE = 5.0  # seconds for the head to answer


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``--option NAME=VALUE`` sets.

    Attributes:
        address: of the head, such as ``"10.0.0.5:6379"``; ``"local"`` starts Ray on this machine; where left
            out ``$RAY_ADDRESS``, else the cluster that this machine is in.
        cpus: cores per job.
        gpus: GPUs per job; 0.5 lets two jobs share one.
        runs: runs per job; if 0 one on a CPU, 64 alike ones on a GPU.
    """

    address: str = ""
    cpus: Annotated[int, msgspec.Meta(ge=1)] = 1
    gpus: Annotated[float, msgspec.Meta(ge=0)] = 0
    runs: Annotated[int, msgspec.Meta(ge=0)] = 0


def cut(work: Work, tasks: list[Task], settings: Settings) -> list[list[Task]]:
    """Tasks for one job each."""
    return _nodes.cut(work, tasks, settings.runs, settings.gpus)


def run(
    work: Work,
    queue: deque[list[Task]],
    workers: int,
    settings: Settings,
    show: Callable[[Iterable[str]], None],
) -> Iterator[Outcome]:
    """Do what is in the queue on the nodes of a Ray cluster; a node that dies costs its jobs' last steps."""
    ray = connect(settings)
    # Trying again is the study's affair: it counts, and tells.
    job = ray.remote(_nodes.do_chunk).options(num_cpus=settings.cpus, num_gpus=settings.gpus, max_retries=0)
    running: dict[Any, list[Task]] = {}
    try:
        while queue or running:
            check_stopped()
            while queue and len(running) < workers:
                tasks = queue.popleft()
                running[job.remote(work, tasks, settings.cpus, settings.gpus)] = tasks
            done, _ = ray.wait(list(running), num_returns=1, timeout=POLL)
            show(task.key() for tasks in running.values() for task in tasks)
            for reference in done:
                yield from _outcomes(ray, work, running.pop(reference), reference)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        ray.shutdown()


def connect(settings: Settings) -> Any:
    """Ray, connected to the cluster.

    Raises:
        InputError: it is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        raise InputError("the engine ray is not installed: pip install 'disentangle-bench[ray]'") from None
    address = settings.address or os.environ.get("RAY_ADDRESS") or "auto"
    try:
        _knock(address)
        ray.init(
            address=address,
            log_to_driver=False,
            include_dashboard=False,
            logging_level=logging.WARNING,
            # Nodes have the environment of their `ray start`: where the data lie is the driver's to say.
            runtime_env={"env_vars": {k: v for k, v in os.environ.items() if k.startswith(PASSED)}},
        )
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"no Ray cluster answers at {address!r} ({reason}); start one with `ray start --head` and name "
            "it with --option address=HOST:PORT, or use --option address=local"
        ) from None
    cluster: Any = ray  # whose functions have types in some versions
    nodes = [node["Resources"] for node in cluster.nodes() if node["Alive"]]
    if not any(n.get("CPU", 0) >= settings.cpus and n.get("GPU", 0) >= settings.gpus for n in nodes):
        have = "; ".join(f"{n.get('CPU', 0):g} cores and {n.get('GPU', 0):g} GPUs" for n in nodes)
        ray.shutdown()
        raise InputError(
            f"no node of the Ray cluster at {address!r} has {settings.cpus} cores and {settings.gpus:g} GPUs "
            f"for a job (there are {have or 'none'}); Ray would wait for ever"
        )
    return ray


def _knock(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def _outcomes(ray: Any, work: Work, tasks: list[Task], reference: Any) -> Iterator[Outcome]:
    try:
        found, reason = ray.get(reference), ""
    except ray.exceptions.RayError as error:
        found, reason = None, f"its process died ({type(error).__name__})"
    yield from _nodes.outcomes_of(work, tasks, found, reason)


ENGINE = Engine(title="a Ray cluster", settings=Settings, cut=cut, run=run)
