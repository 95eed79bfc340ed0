"""Train runs: the only training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from disentangle import find, nets
from disentangle.checkpoint import Damaged, is_finished, log, read_log, restore, rewind_log, save
from disentangle.data import FactorData, draw_factors
from disentangle.draws import generator
from disentangle.errors import InputError
from disentangle.files import write_bytes
from disentangle.pairs import check_k, sample_pairs
from disentangle.run import Run

LOG_EVERY = 50  # steps between reads of the loss, which on a GPU are host synchronisations


@dataclass
class Trained:
    """A trained model.

    Attributes:
        run: what was trained.
        model: the model, in evaluation mode.
        status: ``"done"`` or ``"diverged"``.
        step: the steps done; for a diverged run the first step whose loss was not finite.
        values: the objective and its diagnostics at the last step read, or at the diverged one.
        seconds: wall-clock training time of this process; a resumed run counts its earlier parts too.
    """

    run: Run
    model: nn.Module
    status: str
    step: int
    values: dict[str, float]
    seconds: float


def choose_device(device: str = "auto") -> torch.device:
    """``"auto"`` is CUDA where there is one, else the CPU.

    Raises:
        InputError: CUDA was asked for and is not there, or the name is unknown to torch.
    """
    gpus = torch.cuda.device_count()
    if device == "auto":
        return torch.device("cuda" if gpus else "cpu")
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise InputError(f"unknown device {device!r}; expected auto, cpu, cuda or cuda:0")
    if kind == "cuda" and int(index or 0) >= gpus:
        raise InputError(f"device {device!r} was asked for, but torch sees {gpus} CUDA GPUs here")
    return torch.device(device)


def build_model(run: Run, data: FactorData) -> nn.Module:
    """The run's model with its initial weights, which depend on the seed alone.

    Raises:
        InputError: the papers' networks do not take these images, or the settings do not fit the data.
    """
    method, settings = find.get("method", run.method), run.settings()
    channels, *side = data.image_shape
    if side != [nets.SIDE, nets.SIDE]:
        raise InputError(f"{data.name}: images must be {nets.SIDE}x{nets.SIDE}, got {side[0]}x{side[1]}")
    if method.pairs:
        check_k(data.sizes, settings.k, settings.pairs)
    with torch.random.fork_rng(devices=[]):  # lazy layers draw values that are overwritten at once
        model = method.build(
            nets.encoder(channels), nets.decoder(channels, run.latents), run.latents, settings
        )
        method.represent(model, torch.zeros(1, *data.image_shape))
    nets.initialise(model, generator(run.seed, "init"))
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def train(
    runs: Iterable[Run],
    data: FactorData | None = None,
    folder: str | Path | None = None,
    *,
    device: str = "auto",
    checkpoint_every: int = 1000,
    progress: bool = True,
) -> list[Trained]:
    """Train runs, one after the other, and return them in order.

    Every random number of a step comes from the run's seed and the step's number, so neither the
    device, the order of the runs nor an interruption changes them. With a ``folder`` each run keeps
    a checkpoint and a log in ``folder/<key>/`` and goes on from there when it is trained again.

    Args:
        runs: what to train.
        data: the images; loaded by the run's data set name and source where not given.
        folder: where checkpoints and logs go; nothing is kept without it.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        checkpoint_every: steps between checkpoints.
        progress: show a progress bar where the output is a terminal.

    Raises:
        InputError: a run's settings cannot be used, or the data are not those that it names.

    >>> from disentangle.data import FactorData
    >>> from disentangle.images import Pixels
    >>> images = np.random.default_rng(0).integers(0, 2, (6, 64, 64), dtype=np.uint8)
    >>> tiny = FactorData("tiny", ("a", "b"), (np.arange(2), np.arange(3)), Pixels(images, 1), "user", "")
    >>> run = Run(method="vae", dataset="tiny", source="user", steps=2, batch=4)
    >>> [trained] = train([run], tiny, device="cpu", progress=False)
    >>> trained.status, trained.step, sorted(trained.values)
    ('done', 2, ['elbo', 'kl_divergence', 'log_likelihood', 'objective'])
    """
    target = choose_device(device)
    trained = []
    for run in [run.complete() for run in runs]:
        run_data = load(run) if data is None else _matching(run, data)
        place = None if folder is None else Path(folder) / run.key()
        training = _Training(run, run_data.to(target), target, place)  # refuses what cannot be trained
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
            write_bytes(place / "run.json", msgspec.json.format(msgspec.json.encode(run)))
        trained.append(training.go(checkpoint_every, progress))
    return trained


def _matching(run: Run, data: FactorData) -> FactorData:
    """The data, if they are those that the run's key and rows name."""
    if (data.name, data.source) != (run.dataset, run.source):
        raise InputError(
            f"run {run.label()!r} is for {run.dataset} ({run.source}), got {data.name} ({data.source})"
        )
    return data


def load(run: Run) -> FactorData:
    """The data set that a run names."""
    return find.get("dataset", run.dataset).load(run.source)


def load_trained(folder: str | Path, device: str = "auto") -> tuple[Trained, FactorData]:
    """A finished run and its data, from the folder that `train` made.

    Raises:
        InputError: the folder holds no run, or one that has not finished.
    """
    folder = Path(folder)
    try:
        run = msgspec.json.decode((folder / "run.json").read_bytes(), type=Run)
    except FileNotFoundError:
        raise InputError(f"{folder} holds no run: run.json is missing") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{folder / 'run.json'} is not a run: {error}") from None
    if not is_finished(folder, run.steps):
        raise InputError(f"{folder}: {_how_far(folder, run.steps)}")
    data = load(run).to(choose_device(device))
    training = _Training(run, data, data.device, None)
    try:
        _, seconds = restore(folder, data.device, training.model, training.optimiser)
    except Damaged as damaged:
        raise InputError(f"{damaged}; train the run again") from None
    return Trained(run, training.model.eval(), "done", run.steps, {}, seconds), data


def _how_far(folder: Path, steps: int) -> str:
    lines = read_log(folder)
    if lines and not all(math.isfinite(v) for v in lines[-1].values()):
        return f"the run diverged at step {lines[-1]['step']} and has no model"
    step = lines[-1]["step"] if lines else 0
    return f"the run stopped at step {step} of {steps}; train it again to finish it"


def batch_factors(run: Run, sizes: Sequence[int], step: int) -> tuple[np.ndarray, ...]:
    """The factors ``(batch, F)`` of the images of a step: one array, or two for pairs."""
    rng = generator(run.seed, "batch", step)
    method, settings = find.get("method", run.method), run.settings()
    if not method.pairs:
        return (draw_factors(sizes, run.batch, rng),)
    pairs = sample_pairs(sizes, run.batch, settings.k, settings.pairs, rng)
    return pairs.first, pairs.second


@dataclass
class _Training:
    """One run while it trains."""

    run: Run
    data: FactorData
    device: torch.device
    folder: Path | None
    seconds: float = 0.0
    values: dict[str, float] = field(default_factory=dict)
    recent: list[tuple[int, dict[str, Tensor]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.method = find.get("method", self.run.method)
        self.settings = self.run.settings()
        self.model = build_model(self.run, self.data).to(self.device).train()
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=self.run.lr, eps=1e-8, fused=True)

    def go(self, checkpoint_every: int, progress: bool) -> Trained:
        start = self._resume()
        before, began, diverged = self.seconds, time.perf_counter(), None
        with self._bar(start, progress) as bar:
            for step in range(start, self.run.steps):
                self._step(step)
                bar.update()
                last = step + 1 == self.run.steps
                if not last and (step + 1) % LOG_EVERY and (step + 1) % checkpoint_every:
                    continue
                self.seconds = before + time.perf_counter() - began
                diverged = self._flush()
                bar.set_postfix_str(self._in_short())
                if diverged is not None:
                    break
                if last or (step + 1) % checkpoint_every == 0:
                    self._save(step + 1)
        status, done = ("done", self.run.steps) if diverged is None else ("diverged", diverged)
        return Trained(self.run, self.model.eval(), status, done, self.values, self.seconds)

    def _bar(self, start: int, progress: bool) -> Any:
        return tqdm(
            total=self.run.steps, initial=start, desc=f"{self.run.method} seed {self.run.seed}",
            disable=None if progress else True, unit="step", mininterval=0.5,
        )  # fmt: skip

    def _in_short(self) -> str:
        """The parts of the loss, for a bar: ``elbo -105 rec -85 kl 20``."""
        short = {
            k.replace("log_likelihood", "rec").replace("kl_divergence", "kl"): v
            for k, v in self.values.items()
        }
        return " ".join(f"{k} {v:.0f}" for k, v in short.items() if k != "objective")

    def _step(self, step: int) -> None:
        factors = batch_factors(self.run, self.data.sizes, step)
        rng = generator(self.run.seed, "noise", step)
        shape = (len(factors), self.run.batch, 1, self.run.latents)
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(self.device)
        images = self.data.images(np.concatenate([self.data.index(f) for f in factors]))
        if self.method.pairs:
            loss = self.method.loss(self.model, images.chunk(2), tuple(noise), self.settings)
        else:
            loss = self.method.loss(self.model, images, noise[0], self.settings)
        self.optimiser.zero_grad(set_to_none=True)
        loss.objective.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.recent.append((step, {"objective": loss.objective.detach(), **loss.diagnostics}))

    def _flush(self) -> int | None:
        """Read the losses since the last time and log their means; the step of the first bad one."""
        names = list(self.recent[0][1])
        table = (
            torch.stack([torch.stack([v[n].float() for n in names]) for _, v in self.recent]).cpu().numpy()
        )
        steps = [step for step, _ in self.recent]
        self.recent.clear()
        bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
        row = table[bad[0]] if bad.size else table.mean(axis=0)
        self.values = {name: float(value) for name, value in zip(names, row, strict=True)}
        step = steps[bad[0]] if bad.size else steps[-1] + 1
        if self.folder is not None:
            line = {"step": step, "seconds": round(self.seconds, 3), **self.values}
            log(self.folder, line)
        return step if bad.size else None

    def _save(self, step: int) -> None:
        if self.folder is not None:
            save(self.folder, step, self.seconds, self.model, self.optimiser)

    def _resume(self) -> int:
        """Load the checkpoint if there is one; the step to go on from."""
        if self.folder is None:
            return 0
        try:
            step, self.seconds = restore(self.folder, self.device, self.model, self.optimiser)
        except Damaged as damaged:
            tqdm.write(f"{damaged}; the run begins anew")
            self.__post_init__()
            step = 0
        last = rewind_log(self.folder, step)
        self.values = {k: v for k, v in last.items() if k not in ("step", "seconds")}
        return step
