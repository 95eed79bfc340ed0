"""What a study will take: time from speeds measured here and now, and disk."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from disentangle.build import build_model
from disentangle.calibrate import Calibration
from disentangle.encode import encode, evaluation_rows
from disentangle.engines.local import devices, one_thread
from disentangle.errors import InputError
from disentangle.perform import load_once
from disentangle.provenance import hardware
from disentangle.run import Run
from disentangle.score import score
from disentangle.stack import SPAN, Stack, alike
from disentangle.status import Status, duration
from disentangle.study import Study
from disentangle.train import fitting
from disentangle.work import stacks

SECONDS = 1.0  # of steps that are timed, at least
IMAGES = 512  # that are encoded to time it
LINE_BYTES = 180  # of a log, every `SPAN` steps
ROW_BYTES = 12_000  # of a row's file
PICTURE_BYTES = {1: 140_000, 3: 930_000}  # of a run's pictures together, by the channels of the images


@dataclass
class Kind:
    """Runs that take the same time: all but seed and float hyperparameters equal.

    Attributes:
        runs: those that have no row yet.
        stack: how many of them train as one.
        step: seconds of a step of one run; of a stack its share.
        encode: seconds to encode what is scored.
        score: seconds of all metrics.
        parameters: of one model.
    """

    runs: list[Run]
    stack: int = 1
    step: float = 0.0
    encode: float = 0.0
    score: float = 0.0
    parameters: int = 0

    @property
    def each(self) -> float:
        """Seconds of one run."""
        return self.runs[0].updates() * self.step + self.encode + self.score


@dataclass
class Estimate:
    """What is left of a study.

    Attributes:
        study: the study.
        device: where the speeds were measured.
        kinds: the runs that are left.
        codes: the images that are scored of each data set.
        channels: of each data set's images.
    """

    study: Study
    device: torch.device
    kinds: list[Kind] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Of all runs, one after the other."""
        return sum(len(kind.runs) * kind.each for kind in self.kinds)

    def wall(self, workers: int, devices: int) -> float:
        """Seconds with so many processes; on GPUs only their number of stacks trains at once."""
        if self.device.type == "cpu":
            return self.seconds / workers
        training = sum(len(kind.runs) * (kind.each - kind.score) for kind in self.kinds)
        return training / devices + (self.seconds - training) / workers

    def disk(self, lean: bool = False, at_once: int = 1) -> dict[str, int]:
        """Bytes by what they are for; checkpoints are there only while a run trains."""
        found = {"models": 0, "codes": 0, "logs": 0, "rows and pictures": 0, "checkpoints in use": 0}
        for kind in self.kinds:
            n, run = len(kind.runs), kind.runs[0]
            found["models"] += 4 * kind.parameters * n
            found["codes"] += 0 if lean else 4 * run.latents * self.codes[run.dataset] * n
            shown = sum(map(self.study.shows, kind.runs)) * PICTURE_BYTES[self.channels[run.dataset]]
            found["rows and pictures"] += n * ROW_BYTES + shown
            found["logs"] += n * LINE_BYTES * (run.updates() // SPAN + 1)
            training = min(n, at_once * kind.stack) * 3 * 4 * kind.parameters
            found["checkpoints in use"] = max(found["checkpoints in use"], training)
        return found


def estimate(
    found: Status, device: torch.device, stack: int | None = None, say: Callable[[str], None] = print
) -> Estimate:
    """Measure how fast each kind of run that is left trains, is encoded and is scored on this machine.

    A second or so of training for each kind, and each metric once on a data set's random codes; the
    metrics of rows that exist are not measured again.

    Args:
        found: what is left.
        device: where.
        stack: see `disentangle.train.train`.
        say: where progress goes.
    """
    one_thread()
    left = [task for task in [*found.left, *(task for task, _ in found.failed)] if isinstance(task, Run)]
    kinds: dict[Any, Kind] = {}
    for run in left:
        kinds.setdefault(alike(run), Kind([])).runs.append(run)
    made = Estimate(found.work.study, device, list(kinds.values()))
    scoring: dict[tuple[str, int], float] = {}
    for kind in made.kinds:
        run = kind.runs[0]
        say(f"measuring {run.label()} on {run.dataset} ...")
        data = load_once(run.dataset, run.source, str(device))
        rows = evaluation_rows(data, found.work.study.rows)
        made.codes[run.dataset], made.channels[run.dataset] = len(rows), data.image_shape[0]
        _train(kind, data, device, stack)
        began = time.perf_counter()
        some = rows[:IMAGES]
        encode(run, build_model(run, data).to(device), data, some)
        kind.encode = (time.perf_counter() - began) * len(rows) / len(some)
        place = (run.dataset, run.latents)
        if place not in scoring:
            scoring[place] = _known_scoring(found, run) or _score(found.work.study, run, data, rows)
        kind.score = scoring[place]
    return made


def _train(kind: Kind, data: Any, device: torch.device, asked: int | None) -> None:
    """Time some steps of as many runs as will train as one."""
    runs, together = kind.runs, stacks(device.type, asked)
    kind.stack = 1
    if together and len(runs) > 1:
        kind.stack = min(len(runs), asked) if asked else fitting(runs, data, device)
    trained = Stack([run.complete() for run in runs[: kind.stack]], data, device)
    kind.parameters = sum(p.numel() for p in trained.models[0].parameters())
    trained.advance(5)
    trained.read()
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        trained.advance(5)
        trained.read()  # waits for the device
        steps += 5
    kind.step = (time.perf_counter() - began) / steps / kind.stack


def _known_scoring(found: Status, run: Run) -> float | None:
    """The mean time of scoring in rows of the same data set, if there are any."""
    rows = [row for row in found.rows.values() if row.get("kind") == "run" and row["status"] == "done"]
    times = [
        row["seconds"]["score"]
        for row in rows
        if row["data"]["name"] == run.dataset and set(found.work.study.metric_ids()) <= _ids(row)
    ]
    return sum(times) / len(times) if times else None


def _ids(row: dict[str, Any]) -> set[str]:
    return {score["id"] for score in row["scores"]}


def _score(study: Study, run: Run, data: Any, rows: Any) -> float:
    """The time of every metric on random codes."""
    noise = Calibration(name="noise", dataset=run.dataset, source=run.source, latents=run.latents)
    codes, factors, total = noise.codes(data, rows), data.factors(rows), 0.0
    some = np.linspace(0, len(rows) - 1, min(400, len(rows))).astype(int)
    for spec in study.metric_specs():
        with contextlib.suppress(InputError):  # too few points for it; this is for compiling
            score(codes[some], factors[some], [spec], published_sizes=False)
        began = time.perf_counter()
        with contextlib.suppress(InputError):  # told when the study is carried out
            score(codes, factors, [spec], rows=study.rows, repeats=study.repeats)
        total += time.perf_counter() - began
    return total


def describe(made: Estimate, workers: int, lean: bool = False) -> str:
    """The estimate for people, with so many processes at once."""
    if not made.kinds:
        return "no run is left"
    where = f"{made.device} ({hardware(str(made.device))})"
    lines = [f"speeds measured now on {where}, one process:"]
    for kind in made.kinds:
        run, together = kind.runs[0], f" in stacks of {kind.stack}" if kind.stack > 1 else ""
        name = run.method if len({r.setting() for r in kind.runs}) > 1 else run.label()
        lines.append(
            f"  {name} on {run.dataset}: {len(kind.runs):,} runs{together}, each {duration(kind.each)}: "
            f"{run.updates():,} steps of {1000 * kind.step:.1f} ms, encoding {duration(kind.encode)}, "
            f"metrics {duration(kind.score)}"
        )
    gpus = len(devices(str(made.device)))
    each = f"{workers} at once" + ("" if made.device.type == "cpu" else f" and {gpus} GPUs")
    lines.append(
        f"time: {duration(made.seconds)} of one process"
        + (f", about {duration(made.wall(workers, gpus))} with {each}" if workers > 1 else "")
    )
    disk = {what: _size(count) for what, count in made.disk(lean, workers).items() if count}
    lines.append("disk: " + ", ".join(f"{what} {size}" for what, size in disk.items()))
    return "\n".join(lines)


def _size(count: int) -> str:
    """Bytes for people.

    >>> _size(2_700_000), _size(372_000_000_000)
    ('2.7 MB', '372 GB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def free_space(folder: Path) -> int:
    """Bytes that can still be written where a folder is, or will be."""
    import shutil

    place = folder.resolve()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
