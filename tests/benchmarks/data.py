"""Drawing time, peak memory and batch speed of the drawn data sets, on one thread.

Run by hand: ``python tests/benchmarks/data.py``. Each set is drawn in a fresh process and folder.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {"draw and store (s)": 10.0, "memory (MB)": 500.0, "images/s": 20_000.0}
BATCH, BATCHES = 64, 500


def megabytes() -> float:
    """Peak resident memory of this process; mapped file pages count while they are resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str) -> dict[str, float]:
    """Load a set twice (drawn, then from its cache) and gather random batches."""
    import torch

    from disentangle import cached
    from disentangle.find import get

    torch.set_num_threads(1)
    load = get("dataset", name).load
    found, before = {}, megabytes()
    for what in ("draw and store (s)", "open again (s)"):
        cached._sha256_of_file.cache_clear()
        start = time.perf_counter()
        data = load("drawn")
        found[what] = time.perf_counter() - start
        found.setdefault("memory (MB)", megabytes() - before)
    index = torch.randint(0, len(data), (BATCHES, BATCH), generator=torch.Generator().manual_seed(0))
    for batch in index[:50]:
        data.images(batch)
    start = time.perf_counter()
    for batch in index:
        data.images(batch)
    found["images/s"] = BATCHES * BATCH / (time.perf_counter() - start)
    found["resident (MB)"] = data.store.nbytes / 1e6
    return found


def main() -> None:
    """Measure both sets, each in a process of its own, and print a table with the limits."""
    rows = {}
    for name in ("dsprites", "shapes3d"):
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "DISENTANGLE_DATA": folder, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
            command = [sys.executable, __file__, name]
            rows[name] = json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
    print(f"{'':22}{'dsprites':>12}{'shapes3d':>12}{'limit':>12}")
    for what in rows["dsprites"]:
        limit = f"{LIMITS[what]:12,.0f}" if what in LIMITS else ""
        print(f"{what:22}{rows['dsprites'][what]:12,.2f}{rows['shapes3d'][what]:12,.2f}{limit}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
