"""Seconds per metric at published sizes, against the reference's cost and against scikit-learn.

By hand, from the repository root, on one core and with nothing else running:

    OMP_NUM_THREADS=1 python tests/benchmarks/metrics.py [--trees] [--csv results/performance]

The battery: every metric as published (10,000 + 5,000 points, 10 codes, a table of the whole grid), its
modes taking turns in one process. Their medians add up to the cost of one model, encoding excluded. Modes
that are scikit-learn's slow estimators whole (DCI's trees, downstream's cross-validation) are left out there.

With --trees, DCI's boosted trees, factor by factor, ours and scikit-learn's in turn on the same points: ratio
of CPU seconds, largest difference of an importance, and the same between two seeds of scikit-learn. About
25 minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingClassifier

from disentangle.find import get, metrics_of_codes
from disentangle.metrics._boosting import boost, sort_columns
from disentangle.provenance import hardware

SIZES = {"dsprites": (3, 6, 40, 32, 32), "shapes3d": (10, 10, 10, 8, 4, 15)}
ROUNDS = 5
# CPU seconds of the reference library at these sizes (METRICS.md; other hardware, dSprites' factors).
REFERENCE = {"beta_vae": 2.4, "factor_vae": 1.6, "mig": 0.2, "sap": 1.1, "dci": 350.0}
SLOW = {("dci", "dlib"), ("downstream", "dlib")}


def table(sizes: tuple[int, ...], seed: int = 0) -> tuple[Any, Any]:
    """Codes (N, 10) float32, a noisy mixture of the factors, and the factors; N is the whole grid."""
    rng = np.random.default_rng(seed)
    factors = np.indices(sizes).reshape(len(sizes), -1).T
    spread = 2.0 * factors / (np.array(sizes) - 1) - 1
    codes = spread @ rng.normal(size=(len(sizes), 10)) + 0.1 * rng.normal(size=(len(factors), 10))
    return codes.astype(np.float32), factors


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def battery(dataset: str) -> pd.DataFrame:
    """One line per metric and mode: CPU seconds as median and range over the rounds."""
    codes, factors = table(SIZES[dataset])
    sides = [
        (name, mode)
        for name in metrics_of_codes()
        for mode in ("default", *get("metric", name).modes)
        if (name, mode) not in SLOW
    ]
    taken: dict[tuple[str, str], list[float]] = {side: [] for side in sides}
    for turn in range(ROUNDS + 1):  # the first pays for imports and compilation
        for name, mode in sides:
            metric = get("metric", name)
            options = {**metric.published, **({"mode": mode} if mode != "default" else {})}
            if turn == 0 and name == "dci":
                options |= {"train_points": 500, "test_points": 100}
            used, _ = cpu_seconds(lambda m=metric, o=options: m.function(codes, factors, rng=turn, **o))  # noqa: B023
            taken[name, mode].append(used)
    lines = []
    for (name, mode), all_seconds in taken.items():
        seconds = all_seconds[1:]
        ratios = np.divide(seconds, taken[name, "default"][1:])
        lines.append(
            {
                "dataset": dataset, "metric": name, "mode": mode, "seconds": float(np.median(seconds)),
                "least": min(seconds), "most": max(seconds), "rounds": ROUNDS,
                "over_default": float(np.median(ratios)), "over_default_least": ratios.min(),
                "over_default_most": ratios.max(),
                "reference_seconds": REFERENCE.get(name) if dataset + mode == "dspritesdefault" else None,
            }
        )  # fmt: skip
    return pd.DataFrame(lines).round(3)


def trees(dataset: str) -> pd.DataFrame:
    """One line per factor: our trees against scikit-learn's."""
    codes, factors = table(SIZES[dataset])
    rows = np.random.default_rng(1).integers(len(codes), size=15_000)
    train, test = codes[rows[:10_000]], codes[rows[10_000:]]
    boost(sort_columns(train[:200]), factors[rows[:200], 0], test, 0)  # compiles
    lines = []
    for factor, classes in sorted(enumerate(SIZES[dataset]), key=lambda pair: pair[1]):
        labels = factors[rows[:10_000], factor]
        turns = 3 if classes <= 6 else 2
        ours, theirs, importance = [], [], []
        for seed in range(turns):
            used, fitted = cpu_seconds(lambda y=labels, s=seed: boost(sort_columns(train), y, test, s))
            ours.append(used)
            model = GradientBoostingClassifier(random_state=seed)
            used, _ = cpu_seconds(
                lambda m=model, y=labels: (m.fit(train, y), m.predict(train), m.predict(test))
            )
            theirs.append(used)
            importance.append(model.feature_importances_)
        ratios = np.divide(theirs, ours)
        between = np.max(np.abs(importance[0] - importance[-1]))
        lines.append(
            {
                "dataset": dataset, "factor": factor, "classes": classes, "rounds": turns,
                "seconds": np.median(ours), "scikit_learn_seconds": np.median(theirs),
                "ratio": np.median(ratios), "ratio_least": ratios.min(), "ratio_most": ratios.max(),
                "importance_difference": np.max(np.abs(fitted.importance - importance[-1])),
                "scikit_learn_seed_difference": between,
            }
        )  # fmt: skip
        print(lines[-1], flush=True)
    return pd.DataFrame(lines)


def threads(dataset: str) -> pd.DataFrame:
    """Wall seconds of DCI as published with one and with two threads, in turn."""
    codes, factors = table(SIZES[dataset])
    metric = get("metric", "dci")
    taken: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(3):
        for count, found in taken.items():
            began = time.perf_counter()
            metric.function(codes, factors, rng=turn, threads=count, **metric.published)
            found.append(time.perf_counter() - began)
    gain = np.divide(taken[1], taken[2])
    return pd.DataFrame(
        [
            {
                "dataset": dataset, "one_thread_seconds": np.median(taken[1]),
                "two_threads_seconds": np.median(taken[2]), "gain": np.median(gain),
                "gain_least": gain.min(), "gain_most": gain.max(), "rounds": 3,
            }
        ]
    ).round(3)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trees", action="store_true", help="DCI's trees against scikit-learn's")
    parser.add_argument("--csv", type=Path, help="a folder")
    given = parser.parse_args()
    parts = {"trees": trees} if given.trees else {"metrics": battery, "threads": threads}
    for name, measure in parts.items():
        frame = pd.concat([measure(dataset) for dataset in SIZES], ignore_index=True)
        frame["hardware"] = hardware("cpu")
        print(frame.drop(columns="hardware").to_string(index=False), flush=True)
        if name == "metrics":
            one = frame[frame["mode"] == "default"].groupby("dataset")["seconds"].sum()
            print("one model, all metrics, seconds:", one.round(1).to_dict(), flush=True)
        if given.csv:
            given.csv.mkdir(parents=True, exist_ok=True)
            frame.to_csv(given.csv / f"{name}.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
