"""The compiled trees against scikit-learn's: the same splits and scores, ties broken without favour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier

from disentangle.metrics import _trees
from disentangle.metrics._boosting import boost, sort_columns


def peer(codes: Any, labels: Any, stages: int, seed: int = 0) -> GradientBoostingClassifier:
    return GradientBoostingClassifier(random_state=seed, n_estimators=stages).fit(codes, labels)


def problem(seed: int, points: int = 600, codes: int = 4, classes: int = 3) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(points, codes)).astype(np.float32)
    told = z[:, 0] + np.sin(2 * z[:, 1]) + 0.3 * rng.normal(size=points)
    return z, np.searchsorted(np.quantile(told, np.arange(1, classes) / classes), told)


@pytest.mark.parametrize("classes", [2, 3, 9, 17])
def test_importances_are_those_of_scikit_learn(classes: int) -> None:
    codes, labels = problem(0, points=1000, classes=classes)
    ours = boost(sort_columns(codes), labels, codes[:50], 0, stages=30)
    theirs = [peer(codes, labels, 30, seed) for seed in (0, 1)]
    noise = np.abs(theirs[0].feature_importances_ - theirs[1].feature_importances_).max()
    np.testing.assert_allclose(ours.importance, theirs[0].feature_importances_, atol=max(1e-3, 4 * noise))
    assert np.mean(ours.train == theirs[0].predict(codes)) >= 0.995


def brute_force(columns: Any, target: Any, rows: Any) -> float:
    """The largest decrease of the squared error over every split of these rows; 0 if there is none."""
    best = 0.0
    for values in columns.values[:, rows]:
        order = np.argsort(values, kind="stable")
        z, t = values[order], target[rows][order] - target[rows].mean()
        left, w = np.cumsum(t)[:-1], np.arange(1, len(t))
        gain = left**2 * len(t) / (w * (len(t) - w))
        best = max(best, float(np.max(gain[z[1:] > z[:-1] + np.float32(1e-7)], initial=0.0)))
    return best


@given(
    seed=st.integers(0, 2**32 - 1),
    points=st.integers(2, 500),
    decimals=st.sampled_from([0, 1, 6]),
    share=st.sampled_from([0.02, 0.3]),
)
@example(seed=37882, points=2, decimals=0, share=0.02)  # two equal points: nothing to split
@settings(max_examples=60)
def test_no_split_is_better_than_the_one_found(seed: int, points: int, decimals: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    columns = sort_columns(rng.normal(size=(points, 3)).round(decimals))
    target = (rng.random(points) < share) - rng.choice([0.01, 0.2, 0.7], size=points)
    work = _trees.scratch(3, columns.whole.shape[1], points, np.uint64(seed))
    block, sums = np.zeros((points, _trees.LANES)), np.zeros((*columns.whole.shape, _trees.LANES))
    _trees.side_by_side(columns, target[None], 0, block, sums)
    _trees.start_tree(columns, work, sums[:, :, 0], target)
    for n in range(_trees.NODES // 2):
        rows = np.flatnonzero(work.node == n) if n else np.arange(points)
        code, threshold, gain = _trees.best_split(columns, work, n, target)
        assert gain == pytest.approx(brute_force(columns, target, rows) if len(rows) else 0.0, abs=1e-9)
        if code < 0:
            break
        _trees.part(work, n, columns.values[code], threshold, target)
        _trees.child_histograms(columns, work, n, target)
        left, right = (target[work.node == 2 * n + side] for side in (1, 2))
        assert len(left) * left.var() + len(right) * right.var() + gain == pytest.approx(
            len(rows) * target[rows].var(), abs=1e-9
        )


def test_equal_codes_share_importance() -> None:
    codes, labels = problem(1, codes=2)
    twice = np.hstack([codes, codes])
    shares = np.mean(
        [boost(sort_columns(twice), labels, codes, s, stages=10).importance for s in range(20)], 0
    )
    single = boost(sort_columns(codes), labels, codes, 0, stages=10).importance
    np.testing.assert_allclose(shares[:2] + shares[2:], single, atol=0.02)
    np.testing.assert_allclose(shares[:2], shares[2:], atol=0.1)


def test_codes_that_say_nothing() -> None:
    labels = np.arange(60) % 3
    result = boost(sort_columns(np.zeros((60, 2))), labels, np.ones((5, 2)), 0)
    assert result.importance.tolist() == [0.0, 0.0]
    assert set(result.test) == {0}
    # One code of two values that decides the class: all importance is its own.
    codes = np.stack([labels == 0, np.zeros(60)], axis=1)
    assert boost(sort_columns(codes), labels == 0, codes, 0).importance.tolist() == [1.0, 0.0]


def test_values_nearer_than_scikit_learn_can_tell_are_equal() -> None:
    labels = np.arange(40) % 2
    codes = (0.5 + 5e-8 * labels)[:, None].astype(np.float32)
    assert not boost(sort_columns(codes), labels, codes, 0).importance.any()
    codes = (0.5 + 5e-7 * labels)[:, None].astype(np.float32)
    assert boost(sort_columns(codes), labels, codes, 0).train.tolist() == labels.tolist()


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_torch_grows_the_same_trees(classes: int) -> None:
    codes, labels = problem(2, points=300, classes=classes)
    # "cpu:0" is torch's name of a device that only the batched form knows.
    ours, batched = (
        boost(sort_columns(codes), labels, codes[:99], 0, stages=5, device=d) for d in ("cpu", "cpu:0")
    )
    np.testing.assert_allclose(batched.importance, ours.importance, atol=0.01)  # ties in small nodes
    assert np.mean(batched.train == ours.train) >= 0.99
    np.testing.assert_array_equal(batched.train[:99], batched.test)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_cuda_grows_the_same_trees() -> None:
    codes, labels = problem(3, points=2000, classes=7)
    ours, there = (boost(sort_columns(codes), labels, codes, 0, device=d) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(there.importance, ours.importance, atol=0.01)
