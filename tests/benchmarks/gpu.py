"""All that a GPU is to tell, within so many seconds: tests, layers, stacks. Run it first on a new GPU.

By hand, from the repository root:

    python tests/benchmarks/gpu.py --seconds 540 --out results/performance

Three commands in turn, each with what time is left of its share, and a log of all in OUT/gpu.txt:

1. the tests that need a GPU;
2. kernels.py: the layers of 64 models in every form, and whether each form is right;
3. training.py --order: stacks in every form, the most wanted numbers first. Should a form take the device
   along, the groups begin anew without it.

The tables OUT/layers.csv and OUT/stacks.csv have what was measured by then, whenever the command ends.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = ("gpu", "kernels", "boosting", "images", "random_dsprites", "pixel_noise", "weak")
LOST, AT_WORK = "lost the device", "at work: "  # what stacks.py says
FORMS = ["triton", "grouped", "matmul", "streams", "native"]
OVER = 124  # the exit status of what was ended
# The target first: beta-VAE, many models at once; then sizes on both sides of it, pairs, float32.
ORDER = [
    "beta_vae:tf32:64", "beta_vae:bf16:64", "ada_gvae:tf32:64", "beta_vae:tf32:128", "beta_vae:bf16:128",
    "beta_vae:fp32:64", "beta_vae:tf32:8", "beta_vae:tf32:1", "beta_vae:tf32:32", "ada_gvae:bf16:64",
    "beta_vae:bf16:32", "beta_vae:bf16:8", "beta_vae:bf16:1", "beta_vae:fp32:8", "beta_vae:fp32:1",
    "ada_gvae:tf32:8", "ada_gvae:tf32:1", "ada_gvae:fp32:64", "beta_vae:fp32:32", "beta_vae:fp32:128",
    "ada_gvae:tf32:32", "ada_gvae:tf32:128", "ada_gvae:bf16:128", "ada_gvae:bf16:32",
    "ada_gvae:bf16:8", "ada_gvae:bf16:1", "ada_gvae:fp32:128", "ada_gvae:fp32:32", "ada_gvae:fp32:8",
    "ada_gvae:fp32:1",
]  # fmt: skip


class Clock:
    """How much of the time is left, and the log of what is done in it."""

    def __init__(self, seconds: float, log: Path) -> None:
        self.end, self.log = time.monotonic() + seconds, log

    def left(self) -> float:
        return self.end - time.monotonic()

    def run(self, command: list[str], share: float) -> int:
        """The exit status of a command, which is ended when its share of the time left is over."""
        limit, began = share * self.left(), time.monotonic()
        self.say(f"$ {' '.join(command)}   ({limit:.0f} s at most)")
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-u", *command], stdout=log, stderr=log, cwd=HERE.parents[1]
            )
            try:
                status = process.wait(max(0.0, limit))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)  # so that pytest tells what failed by then
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()
                process.wait()
                status = OVER
        self.say(f"  exit status {status} after {time.monotonic() - began:.0f} s")
        return status

    def say(self, text: str) -> None:
        print(text, flush=True)
        with self.log.open("a") as log:
            log.write(f"{text}\n")


def stacks(clock: Clock, given: argparse.Namespace) -> int:
    """Stacks in every form that leaves the process and the device usable."""
    forms, csv, status = list(FORMS), given.out / "stacks.csv", 0
    while forms and clock.left() > 0:
        order = [group for group in given.order.split(",") if group not in measured(csv)]
        if not order:
            return 0
        what = ["--device", given.device, "--order", ",".join(order), "--forms", ",".join(forms)]
        how = ["--rounds", "3", "--seconds", str(given.turn), "--until", f"{clock.left():.0f}"]
        where = ["--append", "--csv", str(csv)]
        status = clock.run([str(HERE / "training.py"), *what, *how, *where], 1.0)
        if status in (0, OVER):
            return status
        lines = clock.log.read_text().splitlines()
        lost = [line.split()[0] for line in lines if LOST in line][-1:]
        begun = [line.removeprefix(AT_WORK).partition(",")[0] for line in lines if line.startswith(AT_WORK)]
        guilty = next(form for form in (*lost, *begun[-1:], *forms) if form in forms)
        forms.remove(guilty)
        clock.say(f"  going on with {', '.join(forms) or 'none'}")
    return status


def measured(csv: Path) -> set[str]:
    """The groups that the table has."""
    if not csv.exists():
        return set()
    import pandas as pd

    table = pd.read_csv(csv)
    return {
        f"{m}:{p}:{s}" for m, p, s in zip(table["method"], table["precision"], table["size"], strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--turn", type=float, default=0.5, help="seconds of a stack's turn")
    parser.add_argument("--device", default="cuda", help="cpu: to try this command out")
    parser.add_argument("--order", default=",".join(ORDER))
    parser.add_argument("--skip", default="", help="tests, layers or stacks, by commas")
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.out.mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec("disentangle.metrics") is None:
        raise SystemExit("install the package first: pip install -e .   (without a network: CONTRIBUTING.md)")
    clock = Clock(given.seconds, given.out / "gpu.txt")
    clock.log.write_text("")
    wanted = {"tests", "layers", "stacks"} - set(given.skip.split(","))
    worst = 0
    if "tests" in wanted:
        files = [str(HERE.parent / f"test_{name}.py") for name in TESTS]
        how = ["-q", "--tb=short", "-n", "8", "-k", "gpu or cuda or kernel"]
        worst = clock.run(["-m", "pytest", *how, *files], 0.4)
    if "layers" in wanted:
        what = ["--precisions", "tf32,bf16,fp32", "--rounds", "3", "--csv", str(given.out / "layers.csv")]
        command = [str(HERE / "kernels.py"), *what]
        worst = max(worst, clock.run(command, 0.3))
    if "stacks" in wanted:
        worst = max(worst, stacks(clock, given))
    print("\n".join(clock.log.read_text().splitlines()[-60:]))
    raise SystemExit(worst)


if __name__ == "__main__":
    main()
