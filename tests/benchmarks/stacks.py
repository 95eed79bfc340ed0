"""Stacks of runs trained as one, over sizes, forms and precisions; called by `training.py --stacks`.

Every form of one size takes turns, some tenths of a second each. A line has steps per second per run and in
total, the memory that the stack reserved, the share of the measured matrix-product rate of the same
precision, and the seconds that a 300,000-step model would take at this rate. Draws are counted, and are made
while the device is busy, as the trainer does (one core makes `draws_per_second`, and no form can be faster);
logs and checkpoints are not. `streams` is one stack per run, each on one of torch's 32 CUDA streams;
`native` is one run in the form that the trainer would choose; `compiled`, if asked for by `--forms`, is
`matmul` through `torch.compile`, a minute or so for each size.

Groups of method, precision and size are taken in the order that `--order` names them in, such as
beta_vae:tf32:64,ada_gvae:bf16:8, or all those of `--methods`, `--precisions` and `--stacks`; none begins
after `--until` seconds. A form whose failure takes the device along ends the command (exit status 3).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from peers import floor, network
from tables import reason, save

from disentangle.data import FactorData
from disentangle.datasets import dsprites
from disentangle.provenance import hardware
from disentangle.run import Run
from disentangle.stack import FORMS, SPAN, Stack
from disentangle.train import is_out_of_memory

BETAS = (1.0, 2.0, 4.0, 6.0, 8.0, 16.0)
MODEL_STEPS = 300_000
WARM_UP = 20
USUAL = "native,grouped,matmul,triton,streams"
DEVICE_LOST = 3  # exit status
SLICE = 5  # steps that a stream is given before it is the next one's turn


def runs_of(method: str, count: int, batch: int, precision: str) -> list[Run]:
    """Runs that differ in seed and beta."""
    return [
        Run(
            method=method, dataset="dsprites", batch=batch, seed=number, precision=precision,
            hyper={"beta": BETAS[number % len(BETAS)] if method == "beta_vae" else 1.0},
        ).complete()
        for number in range(count)
    ]  # fmt: skip


@dataclass
class Way:
    """One way to train the same runs."""

    form: str
    device: torch.device
    members: list[tuple[Stack, Any]] = field(default_factory=list)  # a stack and its stream, or None
    memory: float = float("nan")
    draws: float = float("nan")  # steps of runs that one core draws in a second
    steps: int = 1
    rates: list[float] = field(default_factory=list)
    problem: str = ""

    def build(self, runs: list[Run], data: FactorData, given: argparse.Namespace) -> None:
        """Make and warm the stacks, measure their memory, choose the steps of a turn."""
        print(f"at work: {self.form}, {len(runs)} of {runs[0].label()}, {runs[0].precision}", flush=True)
        before = _memory_mark(self.device)
        streams = self.form == "streams"
        for part in [[run] for run in runs] if streams else [runs]:
            stream = torch.cuda.Stream(self.device) if streams else None
            with _on(stream):
                compiled = self.form == "compiled"
                form = "matmul" if compiled else self.form if self.form in FORMS else None
                stack = Stack(part, data, self.device, form=form, compiled=compiled)
            self.members.append((stack, stream))
        warm = WARM_UP if self.device.type == "cuda" else 1
        self.advance(warm)
        step = floor.seconds(lambda: self.advance(warm), self.device) / warm
        self.steps = max(1, min(1000, round(given.seconds / step)))
        began, stack = time.perf_counter(), self.members[0][0]
        stack._draw(SPAN)
        self.draws = SPAN * len(stack.runs) / (time.perf_counter() - began)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            self.memory = torch.cuda.memory_reserved(self.device) - before

    def advance(self, steps: int) -> None:
        piece = SLICE if len(self.members) > 1 else steps
        for done in range(0, steps, piece):
            for stack, stream in self.members:
                with _on(stream):
                    stack.advance(min(piece, steps - done))
                    if self.device.type == "cuda":  # the next draws, while the device works
                        stack.prepare(min(piece, steps))

    def turn(self) -> None:
        self.rates.append(self.steps / floor.seconds(lambda: self.advance(self.steps), self.device))

    def give_up(self, problem: str) -> None:
        """Say why it cannot be measured and free what it holds."""
        self.problem = problem
        self.members.clear()


def _on(stream: Any) -> contextlib.AbstractContextManager[Any]:
    return contextlib.nullcontext() if stream is None else torch.cuda.stream(stream)


def _memory_mark(device: torch.device) -> int:
    gc.collect()  # a stack refers to itself, and would keep its memory until the collector's next visit
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


def forms_of(size: int, device: torch.device, asked: str | None) -> list[str]:
    """Those that there are of this size on this device, of those asked for."""
    absent = {"streams"} if size == 1 else {"native"}
    if device.type != "cuda":
        absent |= {"streams", "triton"}
    return [form for form in (asked or USUAL).split(",") if form not in absent]


def attempt(way: Way, work: Any) -> None:
    """Do something with a way; running out of memory is a result."""
    if way.problem:
        return
    try:
        work()
    except Exception as error:  # Triton's errors have no common parent with torch's
        out = is_out_of_memory(error)
        problem = "out of memory, beside the other forms" if out else reason(error)
        check_device(way, problem)
    else:
        return
    way.give_up(problem)  # outside the handler, whose traceback would keep the memory


def check_device(way: Way, problem: str) -> None:
    """After some errors a process can use its GPU for nothing any more."""
    if way.device.type != "cuda":
        return
    try:
        torch.cuda.synchronize(way.device)
    except RuntimeError:
        print(f"{way.form} lost the device: {problem}", flush=True)
        os._exit(DEVICE_LOST)  # leaving as usual would ask the lost device to free its memory, and abort


def measure(
    method: str, size: int, precision: str, data: FactorData, given: argparse.Namespace
) -> list[dict[str, Any]]:
    """One line per form."""
    device = data.device
    # Small on a CPU: one without bfloat16 instructions would take a minute for 2048.
    peak = floor.matrix_rate(device, precision, 8192 if device.type == "cuda" else 512, best_of=5)
    runs = runs_of(method, size, given.batch, precision)
    ways = [Way(form, device) for form in forms_of(size, device, given.forms)]
    for way in ways:
        attempt(way, lambda w=way: w.build(runs, data, given))  # type: ignore[misc]
    for _ in range(given.rounds):
        for way in ways:
            attempt(way, way.turn)
    images = given.batch * (2 if method == "ada_gvae" else 1)
    flops = network.mflop_per_image(network.encoder(), network.decoder()) * 1e6 * images
    known = {
        "method": method, "size": size, "precision": precision, "batch": given.batch, "rounds": given.rounds,
        "peak_tflops": peak / 1e12, "hardware": hardware(str(device)), "torch": torch.__version__,
    }  # fmt: skip
    return [{**known, "form": way.form, **summary(way, size, flops, peak)} for way in ways]


def summary(way: Way, size: int, flops: float, peak: float) -> dict[str, Any]:
    if way.problem:
        return {"status": way.problem}
    rate = statistics.median(way.rates)
    return {
        "status": "done",
        "steps_per_second_per_run": rate,
        "steps_per_second": rate * size, "least": min(way.rates) * size, "most": max(way.rates) * size,
        "share_of_peak": rate * size * flops / peak,
        "seconds_per_model": MODEL_STEPS / (rate * size),
        "memory_gbytes": way.memory / 1e9,
        "draws_per_second": way.draws,
        "steps_of_a_turn": way.steps,
    }  # fmt: skip


def groups(given: argparse.Namespace, device: torch.device) -> Iterator[tuple[str, int, str]]:
    for group in given.order.split(",") if given.order else []:
        method, precision, size = group.split(":")
        yield method, int(size), precision
    if given.order:
        return
    usual = "fp32,tf32,bf16" if device.type == "cuda" else "fp32,bf16"
    for method in given.methods:
        for precision in (given.precisions or usual).split(","):
            for size in given.stacks.split(","):
                yield method, int(size), precision


def main(given: argparse.Namespace) -> None:
    device = torch.device(given.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")  # or `streams` would share eight queues
    data = dsprites.load("drawn").to(device)
    found: list[dict[str, Any]] = []
    if given.append and given.csv and given.csv.exists():
        found = pd.read_csv(given.csv).to_dict("records")  # type: ignore[assignment]
    began = time.perf_counter()
    for method, size, precision in groups(given, device):
        if given.until and time.perf_counter() - began > given.until:
            print(f"{method}, {precision}, {size} and what follows: no time left")
            break
        found += measure(method, size, precision, data, given)
        frame = pd.DataFrame(found)
        print(frame.drop(columns=["hardware", "torch", "batch"]).round(4).to_string(index=False), flush=True)
        save(frame, given.csv)  # after each group: a command that is cut short loses nothing
