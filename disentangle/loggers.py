"""Where a run's losses go beside its ``log.jsonl``: TensorBoard, Weights & Biases."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from tqdm import tqdm

from disentangle.errors import InputError, unknown
from disentangle.run import Run


class Logger(Protocol):
    """What takes the values of one run as they come."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of a step; steps grow."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class TensorBoard:
    """Event files in ``tensorboard/`` of the run's folder; extra ``disentangle-bench[tensorboard]``.

    Args:
        run: whose values these are.
        folder: the run's.
        step: where it goes on; later points of an earlier process are dropped.
    """

    def __init__(self, run: Run, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        purge = step + 1 if step else None
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)
        self._prefix = run.method

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of a step."""
        for name, value in values.items():
            self._writer.add_scalar(f"{self._prefix}/{name}", value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class Wandb:
    """A run of Weights & Biases, named by the run's key; extra ``disentangle-bench[wandb]``.

    ``WANDB_PROJECT`` names the project (``disentangle`` if unset), ``WANDB_MODE=offline`` needs no
    network. A resumed run goes on under the same id.

    Args:
        run: whose values these are.
        folder: the run's; local files go to ``wandb/`` in it.
        step: where it goes on.
    """

    def __init__(self, run: Run, folder: Path, step: int) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "disentangle"),
            id=run.key(),
            name=f"{run.label()} on {run.dataset}, seed {run.seed}",
            group=f"{run.dataset} {run.label()}",
            config=msgspec.to_builtins(run.complete()),
            dir=str(folder),
            resume="allow",
            reinit="create_new",  # a stack has one for each of its runs
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of a step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Write what is left."""
        self._run.finish()


LOGGERS: dict[str, Callable[[Run, Path, int], Logger]] = {"tensorboard": TensorBoard, "wandb": Wandb}


def check_loggers(names: Sequence[str]) -> None:
    """Refuse loggers that are not known or not installed.

    Raises:
        InputError: the message says what to install.
    """
    for name in names:
        if name not in LOGGERS:
            raise unknown("logger", name, LOGGERS)
        if importlib.util.find_spec(name) is None:
            raise InputError(f"the logger {name!r} is not installed: pip install 'disentangle-bench[{name}]'")


@contextlib.contextmanager
def open_loggers(names: Sequence[str], run: Run, folder: Path, step: int) -> Iterator[list[Logger]]:
    """The named loggers of one run. What fails in one is told once and never stops the training."""
    opened: list[Logger] = []
    for name in names:
        with _told(name):
            opened.append(_Careful(name, LOGGERS[name](run, folder, step)))
    try:
        yield opened
    finally:
        for logger in opened:
            logger.close()


class _Careful:
    """A logger that is left alone after its first failure."""

    def __init__(self, name: str, inner: Logger) -> None:
        self._name, self._inner, self._failed = name, inner, False

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if not self._failed:
            with _told(self._name) as problem:
                self._inner.log(step, values)
            self._failed = bool(problem)

    def close(self) -> None:
        with _told(self._name):
            self._inner.close()


@contextlib.contextmanager
def _told(name: str) -> Iterator[list[Exception]]:
    """Tell an exception instead of raising it; the list holds it afterwards."""
    problem: list[Exception] = []
    try:
        yield problem
    except Exception as error:  # a logger's trouble, be it a full disk or a network, is not the run's
        problem.append(error)
        tqdm.write(f"{name}: {type(error).__name__}: {error}; the run goes on without it")
