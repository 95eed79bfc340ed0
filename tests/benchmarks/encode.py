"""Images/s of encoding, against training's forward pass and the processor's peak.

By hand, from the repository root, on one core and with nothing else running:

    OMP_NUM_THREADS=1 python tests/benchmarks/encode.py [--device cuda] [--csv results/performance/encode.csv]

Three things take turns: `disentangle.encode.encode` as scoring calls it, the encoder's forward pass as a
training step runs it (batch 64, gradients recorded, images at hand), and a matrix product whose speed stands
for the peak. Share of peak: floating-point operations of the encoder per second over those of the product.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from disentangle import find
from disentangle.build import build_model
from disentangle.encode import encode
from disentangle.provenance import hardware
from disentangle.run import Run

IMAGES, ROUNDS, SIDE = 4096, 9, 2048


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def measure(dataset: str, device: torch.device) -> list[dict[str, Any]]:
    """One line per side: images/s and share of peak, as median and range over the rounds."""
    data = find.get("dataset", dataset).load("drawn").to(device)
    run = Run(method="vae", dataset=dataset, steps=0).complete()
    model: Any = build_model(run, data).to(device)
    rows = np.sort(np.random.default_rng(0).choice(len(data), IMAGES, replace=False))
    batch = data.images(rows[:64]).contiguous(memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as counter:
        model.encode(batch)
    operations = counter.get_total_flops() / len(batch)
    square = torch.randn(SIDE, SIDE, device=device)

    def forward() -> None:
        for _ in range(IMAGES // len(batch)):
            model.sampling_layer.get_params(model.encoder(batch))

    sides = {"encode": lambda: encode(run, model, data, rows), "training's forward pass": forward}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    shares: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS + 1):
        peak = 2 * SIDE**3 / min(seconds(lambda: square @ square, device) for _ in range(2))
        for name, work in sides.items():
            rates[name].append(IMAGES / seconds(work, device))
            shares[name].append(rates[name][-1] * operations / peak)
    warm = slice(1, None)
    return [
        {
            "dataset": dataset,
            "side": name,
            "images_per_second": round(float(np.median(rates[name][warm]))),
            "least": round(min(rates[name][warm])),
            "most": round(max(rates[name][warm])),
            "share_of_peak": round(float(np.median(shares[name][warm])), 3),
            "of_forward_pass": round(
                float(np.median(np.divide(rates[name][warm], rates["training's forward pass"][warm]))), 3
            ),
            "mflop_per_image": round(operations / 1e6, 2),
            "hardware": hardware(str(device)),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        for name in sides
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    found = [line for name in ("dsprites", "shapes3d") for line in measure(name, torch.device(given.device))]
    frame = pd.DataFrame(found)
    print(frame.to_string(index=False))
    if given.csv:
        given.csv.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(given.csv, index=False)


if __name__ == "__main__":
    main()
