"""Seconds per metric at published sizes: dSprites' factor sizes, 10 codes, the whole grid as table.

By hand, from the repository root, on one core and with nothing else running:

    OMP_NUM_THREADS=1 python tests/benchmarks/metrics.py [--all]

DCI at its published size takes minutes, so it runs with --all only; at 1,000/500 points it always runs.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from disentangle.find import get, names

SIZES = (3, 6, 40, 32, 32)
SLOW = ("dci",)


def table(seed: int = 0) -> tuple[Any, Any]:
    """Codes (737280, 10) float32, a noisy mixture of the factors, and the factors."""
    rng = np.random.default_rng(seed)
    factors = np.indices(SIZES).reshape(len(SIZES), -1).T
    spread = 2.0 * factors / (np.array(SIZES) - 1) - 1
    codes = spread @ rng.normal(size=(len(SIZES), 10)) + 0.1 * rng.normal(size=(len(factors), 10))
    return codes.astype(np.float32), factors


def cases(everything: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in names("metric"):
        if name in SLOW:
            yield name, {"train_points": 1000, "test_points": 500}
        if name not in SLOW or everything:
            yield name, get("metric", name).published
    yield "beta_vae", {"mode": "dlib"}
    yield "mig", {"points": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also the metrics that take minutes")
    codes, factors = table()
    print(f"{'metric':<48}{'wall s':>9}{'cpu s':>9}{'peak MB':>9}{'score':>8}")
    for name, options in cases(parser.parse_args().all):
        metric = get("metric", name)
        settings = {**metric.published, **options}
        wall, cpu = time.perf_counter(), time.process_time()
        result = metric.function(codes, factors, rng=0, **settings)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        # Kilobytes on Linux, bytes on macOS; the peak is of the process so far.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
        print(f"{metric.named(settings):<48}{wall:9.2f}{cpu:9.2f}{peak:9.0f}{float(result):8.3f}", flush=True)


if __name__ == "__main__":
    main()
