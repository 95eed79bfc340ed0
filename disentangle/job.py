"""The training of one stack: where its runs are, their logs and checkpoints."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from disentangle import find
from disentangle.build import build_model
from disentangle.checkpoint import Damaged, Saved, log, restore, rewind_log, save
from disentangle.data import FactorData
from disentangle.files import clear_unfinished, write_bytes
from disentangle.finished import RUN, TRAIN_ANEW, Result, finish, load_weights, read_result
from disentangle.loggers import Logger, open_loggers
from disentangle.run import Run
from disentangle.stack import SPAN, Stack
from disentangle.stopping import check_stopped

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Trained:
    """A trained model.

    Attributes:
        run: what was trained.
        model: the model, in evaluation mode.
        status: ``"done"`` or ``"diverged"``.
        step: the steps done; for a diverged run the first step whose loss was not finite.
        values: the objective and its diagnostics: means over the steps since they were last read (50 at
            most, fewer where a checkpoint came between), or those of the diverged step.
        seconds: wall-clock training time, that of earlier parts of a resumed run too; of a stack, this
            run's share (the time over the number of runs).
        stack: how many runs trained as one, most recently.
    """

    run: Run
    model: nn.Module
    status: Literal["done", "diverged"]
    step: int
    values: dict[str, float]
    seconds: float
    stack: int = 1

    @classmethod
    def of(cls, result: Result, model: nn.Module) -> Trained:
        """A run as an earlier command left it."""
        values = result.numbers()
        return cls(result.run, model.eval(), result.status, result.step, values, result.seconds, result.stack)


@dataclass
class _Member:
    """One run of a stack: where it is."""

    run: Run
    folder: Path | None
    model: nn.Module
    saved: Saved
    seconds: float = 0.0
    values: dict[str, float] = field(default_factory=dict)
    diverged: int | None = None
    result: Result | None = None
    loggers: list[Logger] = field(default_factory=list)

    def note(self, names: Sequence[str], table: NDArray[np.float32], begin: int, stack: int) -> None:
        """Log the mean of the losses ``(steps, names)`` since the last time, or the first bad ones."""
        if self.diverged is not None:
            return
        bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
        row = table[bad[0]] if bad.size else table.mean(axis=0)
        self.values = {name: float(value) for name, value in zip(names, row, strict=True)}
        if bad.size:
            self.diverged = begin + int(bad[0])
        if self.folder is not None:
            step = begin + len(table) if self.diverged is None else self.diverged
            together = {"stack": stack} if stack > 1 else {}  # the seconds are this run's share
            log(self.folder, {"step": step, "seconds": round(self.seconds, 3), **together, **self.values})
            for logger in self.loggers:
                logger.log(step, self.values)

    def end(self, data: FactorData, model: nn.Module, step: int, stack: int) -> Trained:
        """The run as it ended, published in its folder."""
        diverged = self.diverged is not None
        fit = find.get("method", self.run.method).fit
        if fit is not None and not diverged:
            fit(model.eval(), data, self.run)
        trained = Trained(
            self.run,
            model.eval(),
            "diverged" if diverged else "done",
            step if self.diverged is None else self.diverged,
            self.values,
            self.seconds,
            stack,
        )
        if self.folder is not None:
            finish(
                self.folder,
                self.run,
                data,
                state=None if diverged else model.state_dict(),
                status=trained.status,
                step=trained.step,
                values=self.values,
                seconds=self.seconds,
                stack=stack,
            )
        return trained


@dataclass
class Job:
    """How runs are trained: the data, the device, where to keep what."""

    data: FactorData
    device: torch.device
    folder: Path | None
    every: int
    progress: bool
    loggers: Sequence[str] = ()

    @property
    def logs_later(self) -> bool:
        """Whether the next steps begin before the last are logged: where they need no host."""
        return self.device.type == "cuda"

    def train(self, runs: Sequence[Run]) -> list[Trained]:
        """Train alike runs, those that have come equally far as one stack."""
        members = [self._begin(run) for run in runs]
        trained: dict[str, Trained] = {}
        for m in members:
            if m.result is not None:
                trained[m.run.key()] = Trained.of(m.result, m.model.to(self.device))
            elif m.saved.step >= m.run.updates():  # killed between the last checkpoint and the end
                trained[m.run.key()] = m.end(self.data, m.model.to(self.device), m.saved.step, m.saved.stack)
        left = [m for m in members if m.run.key() not in trained]
        for step in sorted({member.saved.step for member in left}):
            level = [member for member in left if member.saved.step == step]
            trained |= {result.run.key(): result for result in self._together(level, step)}
        return [trained[run.key()] for run in runs]

    def _begin(self, run: Run) -> _Member:
        """The run's folder, and its result or its last checkpoint if there is one."""
        model = build_model(run, self.data)
        if self.folder is None:
            return _Member(run, None, model, Saved())
        place = self.folder / run.key()
        place.mkdir(parents=True, exist_ok=True)
        clear_unfinished(place)
        try:
            result = read_result(place)
            if result is not None:
                if result.status == "done":
                    load_weights(place, result, model)
                return _Member(run, place, model, Saved(), result=result)
        except Damaged as damaged:
            tqdm.write(f"{damaged}; the run goes on from its checkpoint, or begins anew")
            model = build_model(run, self.data)
        write_bytes(place / RUN, msgspec.json.format(msgspec.json.encode(run)) + b"\n")
        try:
            saved = restore(place, model)
        except Damaged as damaged:
            tqdm.write(f"{damaged}; the run begins anew")
            model, saved = build_model(run, self.data), Saved()
        if saved.data:
            self.data.check_same(saved.data, f"{place}: the checkpoint is of", TRAIN_ANEW)
        last = rewind_log(place, saved.step)
        values = {k: v for k, v in last.items() if k not in ("step", "seconds", "stack")}
        return _Member(run, place, model, saved, saved.seconds, values)

    def _together(self, members: list[_Member], start: int) -> list[Trained]:
        stack = Stack(
            [m.run for m in members],
            self.data,
            self.device,
            models=[m.model for m in members],
            moments=[m.saved.optimiser for m in members] if start else None,
            step=start,
        )
        began, steps = time.perf_counter(), members[0].run.updates()
        with contextlib.ExitStack() as opened:
            bar = opened.enter_context(self._bar(members, start))
            for m in members:
                if m.folder is not None:
                    m.loggers = opened.enter_context(open_loggers(self.loggers, m.run, m.folder, start))
            told: Callable[[], None] | None = None
            while stack.step < steps and any(m.diverged is None for m in members):
                check_stopped()
                before, stop = stack.step, self._next(stack.step, steps)
                stack.advance(stop - before)
                if told is not None:
                    told()
                if stop < steps:
                    stack.prepare(self._next(stop, steps) - stop)
                values = stack.read()
                table = np.stack(list(values.values()), axis=-1)
                share = (time.perf_counter() - began) / len(members)
                for member in members:
                    member.seconds = member.saved.seconds + share
                told = partial(self._tell, members, list(values), table, before, bar)
                due = stop < steps and stop % self.every == 0
                # A GPU has its next steps to do before the host writes a log for each run.
                if due or stop == steps or not self.logs_later:
                    told()
                    told = None
                if due:
                    self._save(stack, members)
        size = len(members)
        return [m.end(self.data, stack.finish(i), stack.step, size) for i, m in enumerate(members)]

    def _tell(
        self, members: list[_Member], names: list[str], table: NDArray[np.float32], before: int, bar: Any
    ) -> None:
        """Log the losses ``(steps, runs, names)`` of the steps from ``before`` on."""
        for i, member in enumerate(members):
            member.note(names, table[:, i], before, len(members))
        bar.update(len(table))
        bar.set_postfix_str(_in_short(members))

    def _next(self, step: int, steps: int) -> int:
        """Where the losses are read next: every so many steps, at checkpoints and at the end."""
        return min(steps, (step // SPAN + 1) * SPAN, (step // self.every + 1) * self.every)

    def _save(self, stack: Stack, members: list[_Member]) -> None:
        for i, member in enumerate(members):
            if member.folder is not None and member.diverged is None:
                data = self.data.checksum
                save(member.folder, stack.step, member.seconds, len(members), data, stack.state(i))

    def _bar(self, members: list[_Member], start: int) -> Any:
        run, several = members[0].run, len(members) > 1
        name = f"{run.method} x {len(members)}" if several else f"{run.method} seed {run.seed}"
        return tqdm(
            total=run.updates(), initial=start, desc=name,
            disable=None if self.progress else True, unit="step", mininterval=0.5,
        )  # fmt: skip


def _in_short(members: list[_Member]) -> str:
    """The parts of the loss, the mean over the runs that go on, for a bar: ``elbo -105 rec -85 kl 20``."""
    going = [m.values for m in members if m.diverged is None] or [members[0].values]
    mean = {name: sum(values[name] for values in going) / len(going) for name in going[0]}
    short = {k.replace("log_likelihood", "rec").replace("kl_divergence", "kl"): v for k, v in mean.items()}
    lost = len(members) - len(going)
    return " ".join(f"{k} {v:.0f}" for k, v in short.items() if k != "objective") + (
        f" ({lost} diverged)" if lost and len(members) > 1 else ""
    )
