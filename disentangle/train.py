"""Train runs: the only training loop."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from disentangle import find
from disentangle.build import build_model, check
from disentangle.data import FactorData
from disentangle.errors import InputError
from disentangle.finished import is_finished, load_result
from disentangle.job import Job, Trained
from disentangle.loggers import check_loggers
from disentangle.precision import check_precision, has_bf16
from disentangle.run import Run
from disentangle.stack import Stack, alike, stackable

SHARE = 0.8  # of the free GPU memory that a stack may be planned for
EVERY = {"cpu": 500}  # steps between checkpoints
EVERY_ELSEWHERE = 20_000  # a stack does a thousand steps in seconds, and writes a file per run


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


def train(
    runs: Iterable[Run],
    data: FactorData | None = None,
    folder: str | Path | None = None,
    *,
    device: str = "auto",
    stack: int | None = None,
    checkpoint_every: int | None = None,
    progress: bool = True,
    loggers: Sequence[str] = (),
) -> list[Trained]:
    """Train runs and return them in order.

    Every random number of a step comes from the run's seed and the step's number, so neither the
    device, the order of the runs, the stack nor an interruption changes what is drawn. With a ``folder``
    each run keeps a checkpoint and a log in ``folder/<key>/`` and goes on from there when it is trained
    again, alone or in any stack. When it has ended its model is there as ``model.safetensors`` (see
    `disentangle.load`) with ``result.json`` beside it, and the checkpoint is gone.

    On a GPU runs that differ only in seed and float hyperparameters train together, as many as its free
    memory holds; where it runs out, the stack is halved and goes on from the checkpoints. On a CPU they
    train one after the other, which is faster there. A stack computes what its runs compute alone, but
    for rounding, which training amplifies as it does between two kinds of processor. A run that diverged
    is not tried again; delete its folder for that.

    Args:
        runs: what to train.
        data: the images; loaded by the run's data set name and source where not given.
        folder: where checkpoints and logs go; nothing is kept without it.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        stack: how many runs train as one at most; 1 on a CPU and what fits on a GPU if left out.
        checkpoint_every: steps between checkpoints; 500 on a CPU and 20,000 on a GPU if left out.
        progress: show a progress bar where the output is a terminal.
        loggers: where the losses go beside ``log.jsonl``: ``"tensorboard"``, ``"wandb"``; only with a folder.

    Raises:
        InputError: a run's settings cannot be used, the data are not those that it names, or a single
            run does not fit in the GPU's memory.

    >>> import numpy as np
    >>> from disentangle.images import Pixels
    >>> images = np.random.default_rng(0).integers(0, 2, (6, 64, 64), dtype=np.uint8)
    >>> tiny = FactorData("tiny", ("a", "b"), (np.arange(2), np.arange(3)), Pixels(images, 1), "user", "")
    >>> run = Run(method="vae", dataset="tiny", source="user", steps=2, batch=4)
    >>> [trained] = train([run], tiny, device="cpu", progress=False)
    >>> trained.status, trained.step, sorted(trained.values)
    ('done', 2, ['elbo', 'kl_divergence', 'log_likelihood', 'objective'])
    """
    target, asked = choose_device(device), [run.complete() for run in runs]
    if target.type == "cuda" and target.index is None:  # rows name the one that it was
        target = torch.device("cuda", torch.cuda.current_device())
    if stack is not None and stack < 1:
        raise InputError(f"stack must be 1 or more, got {stack}")
    check_loggers(loggers)
    kept = None if folder is None else Path(folder)
    done: dict[str, Trained] = {}
    for group in groups(asked):
        run_data = (load(group[0]) if data is None else _matching(group, data)).to(target)
        run_data = run_data.with_split(group[0].split)
        left = [run for run in group if kept is None or not is_finished(kept / run.key())]
        for run in group:
            check(run, run_data)
        if left:  # a finished run is only loaded, on any device
            check_precision(group[0].precision, target)
        if left and group[0].precision == "bf16" and not has_bf16(target):
            tqdm.write(f"{target}: no bf16 instructions here, so that bf16 is slower than fp32")
        every = checkpoint_every or EVERY.get(target.type, EVERY_ELSEWHERE)
        job = Job(run_data, target, kept, every, progress, loggers)
        size = _size(group, run_data, target, stack) if len(left) > 1 else 1
        done |= {trained.run.key(): trained for trained in _halving(job, group, size)}
    return [done[run.key()] for run in asked]


def _size(runs: Sequence[Run], data: FactorData, device: torch.device, asked: int | None) -> int:
    """How many of these alike runs train as one."""
    most = len(runs) if asked is None else min(asked, len(runs))
    if most == 1 or (asked is None and device.type == "cpu") or not stackable(build_model(runs[0], data)):
        return 1
    return fitting(runs, data, device) if asked is None else most


def groups(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs, each once, with those together that may train as one."""
    groups: dict[Any, dict[str, Run]] = {}
    for run in runs:
        groups.setdefault(alike(run), {})[run.key()] = run
    return [list(group.values()) for group in groups.values()]


def _halving(job: Job, runs: list[Run], size: int) -> Iterator[Trained]:
    """Train alike runs in stacks of a size, halved whenever the memory runs out."""
    while runs:
        now = runs[:size]
        try:
            trained = job.train(now)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(now) == 1:
                raise InputError(
                    f"{job.device} has too little free memory for one run of {now[0].label()!r} with batches "
                    f"of {now[0].batch}; free some, or train on --device cpu"
                ) from None
            size = len(now) // 2
            tqdm.write(f"{job.device}: out of memory with {len(now)} runs at once; going on with {size}")
        else:
            yield from trained
            runs = runs[size:]
        # Not in the handler, which keeps the failed step's tensors alive.
        if job.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether that is the reason: while a graph is captured, ending the capture fails in its place."""
    while error is not None and not isinstance(error, torch.OutOfMemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


def fitting(runs: Sequence[Run], data: FactorData, device: torch.device) -> int:
    """How many of these alike runs to train as one on a GPU, from one measured step of a single run."""
    gc.collect()
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    try:
        Stack(runs[:1], data, device, form="matmul", graph=False).advance(1)
    except torch.OutOfMemoryError:
        return 1  # training it alone takes less than this form, or tells
    return stack_size(free, torch.cuda.max_memory_allocated(device) - before, len(runs))


def stack_size(free: int, each: int, runs: int) -> int:
    """The size of stacks, all nearly equal, that need at most `SHARE` of the free bytes.

    >>> stack_size(free=80_000, each=400, runs=300), stack_size(free=100, each=400, runs=300)
    (150, 1)
    """
    most = max(1, min(runs, int(SHARE * free / max(1, each))))
    return math.ceil(runs / math.ceil(runs / most))


def _matching(runs: Sequence[Run], data: FactorData) -> FactorData:
    """The data, if they are those that the runs' keys and rows name."""
    run = runs[0]
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
        InputError: the folder holds no finished run, one that diverged, or a damaged model; or its data
            set is not the one it was trained on.
    """
    folder = Path(folder)
    result, model = load_result(folder)
    data = load(result.run).to(choose_device(device))
    result.check(data, folder)
    return Trained.of(result, model.to(data.device)), data
