"""Training steps per second: ours, plain PyTorch loops, disent and pythae; and stacks on a GPU.

By hand, from the repository root, with nothing else running:

    taskset -c 1 python tests/benchmarks/training.py --csv results/performance/training.csv
    python tests/benchmarks/training.py --stacks 1,8,32,64,128 --csv results/performance/stacks.csv

Without --stacks: beta-VAE and Ada-GVAE on drawn dSprites, batch 64 (64 pairs), Adam, one thread. Each side is
a process of its own that sleeps until it is its turn to do some steps, so that all take turns on one core
within seconds of each other. disent and pythae run in environments of their own, which are made under --peers
if they are not there (several GB). Images of all sides but ours are those of every fourth orientation and
every second position (46,080, in memory: pythae keeps floats); ours reads the whole grid.

Times are of the side's own process. Ratios are within a round. times_floor: CPU seconds per step over the
seconds that the step's floating-point operations (of the side's own network) take at the rate of a 2048x2048
matrix product (float32) measured in the same round. "ours, bf16" is there where the processor has
instructions for it. last_loss: the objective after all these steps; ours begins with
the protocol's weights, the others with torch's (pythae's trainer keeps its loss to itself).

With --stacks: see stacks.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from peers import environments, floor
from tables import save

from disentangle.datasets import dsprites
from disentangle.precision import has_bf16
from disentangle.provenance import hardware

HERE = Path(__file__).resolve().parent / "peers"
CPU = torch.device("cpu")
STRIDES = (1, 1, 4, 2, 2)  # of the exported grid, per factor


@dataclass
class Side:
    """One way of training, in a process that waits for its turns."""

    name: str
    python: str
    script: str
    which: str
    process: Any = None
    about: dict[str, Any] = field(default_factory=dict)
    steps_per_second: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # seconds per step
    faults: list[float] = field(default_factory=list)  # page faults per step
    loss: float | None = None

    def start(self, method: str, images: Path, batch: int) -> None:
        """Start the process and wait until it is warm; `about` says ``problem`` where it died."""
        command = [self.python, str(HERE / self.script), self.which, method, str(images), str(batch)]
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        log = images.with_name(f"{self.name}.log")
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env={**os.environ, **threads},
            )  # fmt: skip
        self.about = json.loads(self.process.stdout.readline() or "{}")
        if not self.about:
            lines = log.read_text().strip().splitlines()
            self.about = {"problem": lines[-1] if lines else "ended without a word"}

    def turn(self, steps: int) -> None:
        """Have it do some steps and keep what they took."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        took = json.loads(self.process.stdout.readline())
        self.steps_per_second.append(steps / took["wall"])
        self.cpu.append(took["cpu"] / steps)
        self.faults.append(took["faults"] / steps)
        self.loss = took["loss"]

    def stop(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()


def sides_of(method: str, peers: Path | None) -> list[Side]:
    """Ours first; a peer that cannot be had is a side with a ``problem``."""
    here = sys.executable
    sides = [
        Side("ours", here, "side_ours.py", "fp32"),
        *([Side("ours, bf16", here, "side_ours.py", "bf16")] if has_bf16(CPU) else []),
        Side("plain loop, DataLoader", here, "side_plain.py", "loader"),
        Side("plain loop, in memory", here, "side_plain.py", "memory"),
    ]
    wanted = [("disent, its network", "its"), ("disent, this network", "protocol"), ("pythae", "protocol")]
    for name, which in wanted if peers else []:
        package = name.split(",")[0]
        if package == "pythae" and method != "beta_vae":
            continue  # it has no Ada-GVAE
        side = Side(name, "", f"side_{package}.py", which)
        try:
            side.python = str(environments.find_python(package, peers))
        except environments.Missing as missing:
            side.about = {"problem": str(missing)}
        sides.append(side)
    return sides


def export(path: Path) -> Path:
    """Write a part of the grid for the sides that read no data set of ours: uint8 of 0 and 1."""
    data = dsprites.load("drawn")
    axes = [np.arange(0, size, stride) for size, stride in zip(data.sizes, STRIDES, strict=True)]
    index = data.index(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes)))
    parts = [data.images(part).squeeze(1).byte().numpy() for part in np.array_split(index, 64)]
    sizes = np.array([len(axis) for axis in axes])
    np.savez(path, images=np.concatenate(parts), sizes=sizes, names=np.array(data.factor_names))
    return path


def compare(method: str, given: argparse.Namespace, images: Path) -> pd.DataFrame:
    """One line per side."""
    sides = sides_of(method, given.peers)
    floors: list[tuple[float, float]] = []
    try:
        for side in sides:
            if not side.about:
                side.start(method, images, given.batch)
        ready = [side for side in sides if "problem" not in side.about]
        for turn in range(given.rounds):
            floors.append((floor.matrix_rate(CPU), floor.copy_rate(CPU)))
            first = turn % max(len(ready), 1)  # nobody is always the first after the floor's measurement
            for side in ready[first:] + ready[:first]:
                side.turn(given.steps)
            print(f"{method}: round {turn + 1} of {given.rounds}", flush=True)
    finally:
        for side in sides:
            side.stop()
    ours = sides[0].cpu
    return pd.DataFrame([line(method, side, ours, np.array(floors), given) for side in sides])


def line(
    method: str, side: Side, ours: list[float], floors: np.ndarray, given: argparse.Namespace
) -> dict[str, Any]:
    """A row of the table."""
    found: dict[str, Any] = {"method": method, "side": side.name}
    if "problem" in side.about:
        return {**found, "versions": f"not measured: {side.about['problem']}"}
    images = given.batch * (2 if method == "ada_gvae" else 1)
    flops = side.about["mflop_per_image"] * 1e6 * images
    rates, cpu = np.array(side.steps_per_second), np.array(side.cpu)
    ratios = cpu / np.array(ours) if ours else np.full(1, np.nan)
    return {
        **found,
        "network": side.about["network"],
        "versions": side.about["versions"],
        "steps_per_second": np.median(rates), "least": rates.min(), "most": rates.max(),
        "cpu_seconds_per_step": np.median(cpu), "cpu_least": cpu.min(), "cpu_most": cpu.max(),
        "ratio_to_ours": np.median(ratios), "ratio_least": ratios.min(), "ratio_most": ratios.max(),
        "times_floor": np.median(cpu * floors[:, 0] / flops),
        "sgemm_gflops": np.median(floors[:, 0]) / 1e9,
        "copy_gbytes": np.median(floors[:, 1]) / 1e9,
        "mflop_per_image": side.about["mflop_per_image"],
        "flops_per_step": flops,
        "page_faults_per_step": round(float(np.median(side.faults))),
        "last_loss": side.loss,
        "batch": given.batch,
        "rounds": given.rounds,
        "steps": given.steps,
        "threads": torch.get_num_threads(),
        "hardware": hardware("cpu"),
    }  # fmt: skip


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=12, help="steps of a turn")
    parser.add_argument("--batch", type=int, default=64, help="images, or pairs")
    parser.add_argument("--methods", default="beta_vae,ada_gvae")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments; none: without them")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--stacks", help="sizes of stacks, such as 1,8,32: measure these instead")
    parser.add_argument("--device", default="cuda", help="of stacks")
    parser.add_argument(
        "--forms", help="of stacks, such as matmul,triton,compiled; all but the last if left out"
    )
    parser.add_argument("--order", help="of stacks: what to measure and in which order, see stacks.py")
    parser.add_argument("--until", type=float, help="of stacks: begin with none after so many seconds")
    parser.add_argument("--append", action="store_true", help="of stacks: keep what the table has already")
    parser.add_argument("--precisions", help="of stacks, such as fp32,tf32,bf16")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a stack's turn")
    parser.set_defaults(peers=Path(tempfile.gettempdir()) / "disentangle-peers")
    given = parser.parse_args()
    given.methods = given.methods.split(",")
    given.peers = None if given.peers == Path("none") else given.peers
    return given


def main() -> None:
    given = options()
    if given.stacks or given.order:
        import stacks

        stacks.main(given)
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        images = export(Path(folder) / "images.npz")
        frame = pd.concat([compare(method, given, images) for method in given.methods], ignore_index=True)
    hidden = ["flops_per_step", "batch", "rounds", "steps", "threads", "hardware", "versions"]
    print(frame.drop(columns=hidden, errors="ignore").round(3).to_string(index=False))
    print(frame[["side", "versions"]].drop_duplicates().to_string(index=False))
    save(frame, given.csv)


if __name__ == "__main__":
    main()
