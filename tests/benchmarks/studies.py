"""What a study costs beside its runs: 100 tiny runs, and the time that none of them accounts for.

    python tests/benchmarks/studies.py [--runs 100] [--workers 2] [--out results/performance/studies.csv]

The runs train 20 steps on the toy data and are scored with MIG. The overhead of a run is the wall time that
workers had for each run, minus the seconds of training, encoding and scoring that its row tells of:
starting processes, locks, checkpoints, pictures, files. It is measured twice, in this process and in workers.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd

from disentangle.launch import carry_out
from disentangle.provenance import hardware
from disentangle.rows import read_rows
from disentangle.study import read_study

STUDY = """
name = "tiny"
steps = 20
batch = 4
lr = 1e-3
seeds = [{seeds}]
calibration = []
metrics = [{{ name = "mig", points = 300 }}]
[[runs]]
dataset = "toy"
method = "vae"
"""


def measure(runs: int, workers: int) -> dict[str, object]:
    """One study in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.toml").write_text(STUDY.format(seeds=", ".join(map(str, range(runs)))))
        study = read_study(folder)
        began = time.perf_counter()
        outcomes = carry_out(study, folder, workers=workers, device="cpu", say=lambda text: None)
        wall = time.perf_counter() - began
        assert all(outcome.status == "done" for outcome in outcomes)
        began = time.perf_counter()
        carry_out(study, folder, workers=workers, device="cpu", say=lambda text: None)
        again = time.perf_counter() - began
        inside = sum(sum(row["seconds"].values()) for row in read_rows(folder))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "runs": runs,
        "workers": workers,
        "wall_seconds": round(wall, 2),
        "seconds_inside_runs": round(inside, 2),
        "overhead_seconds_per_run": round((wall * workers - inside) / runs, 3),
        "seconds_of_the_same_command_again": round(again, 2),
        "kilobytes_per_run": round(size / runs / 1000),
        "hardware": hardware("cpu"),
    }


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/performance/studies.csv"))
    arguments = parser.parse_args()
    found = pd.DataFrame([measure(arguments.runs, workers) for workers in (1, arguments.workers)])
    print(found.to_string(index=False))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    found.to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
