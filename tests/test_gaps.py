"""Every metric on tables with gaps and repeated rows: SmallNORB's, a held-out corner, a diagonal."""

import numpy as np
import pytest

from disentangle import find
from disentangle.calibrate import NAMES, Calibration
from disentangle.data import FactorData
from disentangle.encode import evaluation_rows
from disentangle.images import Pixels
from disentangle.score import score

SIZES = (3, 4, 5)
# Cells of a grid of three factors.
TABLES = {
    "repeated": np.repeat(np.arange(60), 10),
    "corner": np.flatnonzero((np.indices(SIZES).reshape(3, -1) > 0).any(0)).repeat(9),
    "half": np.sort(np.random.default_rng(0).choice(60, 30, replace=False)).repeat(20),
}


def data_of(cells):
    pixels = np.random.default_rng(0).integers(0, 256, (len(cells), 64, 64), dtype=np.uint8)
    return FactorData(
        "gaps", ("a", "b", "c"), tuple(map(np.arange, SIZES)), Pixels(pixels), "user", "", cells=cells
    )


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("metric", find.metrics_of_codes())
def test_every_metric_scores_them(metric, table):
    """The factors themselves score better than noise wherever more is better."""
    cells = TABLES[table]
    factors = data_of(cells).all_factors()
    rng = np.random.default_rng(0)
    good = factors + 0.01 * rng.standard_normal(factors.shape)
    found = {}
    for name, codes in (("good", good), ("noise", rng.standard_normal(factors.shape))):
        scores = score(codes, factors, [metric], published_sizes=False)
        headline = find.get("metric", metric).headline
        found[name] = next(s.value for s in scores if s.name == headline)
        assert all(np.isfinite(s.value) for s in scores), scores
    described = find.get("metric", metric)
    # Noise scores 1 in dci_es by its definition; where cells are missing, factors depend on each other.
    if metric not in ("dci_es", "unsupervised"):
        better = (
            found["good"] < found["noise"] if described.lower_is_better else found["good"] > found["noise"]
        )
        assert better, found


@pytest.mark.parametrize("table", TABLES)
def test_calibration_representations_exist_of_them(table):
    data = data_of(TABLES[table])
    rows = evaluation_rows(data, 200)
    for name in NAMES:
        codes = Calibration(name=name, dataset="gaps", source="user", latents=10).codes(data, rows)
        assert len(codes) == 200
        assert np.isfinite(codes).all()
