"""InfoMEC: the neighbour estimate against scikit-learn, the authors' definitions, known answers."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.errors import InputError
from disentangle.metrics import _ksg
from disentangle.metrics.infomec import infomec

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "summary.json").read_text())["cases"]
SIZES = (3, 2, 5)
GRID = np.tile(np.indices(SIZES).reshape(3, -1).T, (40, 1))
SPREAD = 2.0 * GRID / (np.array(SIZES) - 1) - 1
NOISE = np.random.default_rng(0).normal(size=GRID.shape)


def load(case: str) -> tuple[Any, Any, tuple[Any, Any]]:
    with np.load(GOLDEN / f"{case}.npz", allow_pickle=False) as file:
        return file["mus_train"].T, file["ys_train"].T, (file["mus_test"].T, file["ys_test"].T)


def scikit_learns(codes: Any, labels: Any, seed: int, neighbours: int) -> float:
    from sklearn.feature_selection import mutual_info_classif

    found = mutual_info_classif(
        codes[:, None], labels, discrete_features=False, n_neighbors=neighbours, random_state=seed
    )
    return float(found[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 200), st.integers(2, 8), st.integers(1, 12), st.booleans())
def test_neighbours_agree_with_scikit_learn(
    seed: int, more: int, classes: int, neighbours: int, ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    # In smaller classes scikit-learn computes distances by squares, and rounding moves its counts.
    labels = np.append(np.repeat(np.arange(classes), 2 * neighbours + 2), rng.integers(classes, size=more))
    n = len(labels)
    code = labels * rng.choice([0.0, 1.0]) + rng.normal(size=n)
    code = code.round(0 if ties else 9)
    if np.ptp(code) == 0:
        return
    code = (code - code.mean()) / code.std()
    noise = np.random.RandomState(seed).standard_normal(n)
    ours = _ksg.mutual_information(code[:, None], labels[:, None], noise, neighbours)[0, 0]
    assert ours == pytest.approx(scikit_learns(code, labels, seed, neighbours), abs=1e-9)


def test_neighbours_of_classes_with_one_point() -> None:
    codes, labels = NOISE[:20, :1], np.arange(20)[:, None]
    assert _ksg.mutual_information(codes, labels, NOISE[:20, 0])[0, 0] == 0.0
    labels[:10] = 0
    found = _ksg.mutual_information(codes, labels, NOISE[:20, 0])[0, 0]
    assert found == pytest.approx(scikit_learns(codes[:, 0], labels[:, 0], 0, 10), abs=1e-6)


def authors(codes: Any, factors: Any, discrete: bool) -> tuple[float, float, float]:
    """InfoM, InfoE, InfoC by the authors' definitions; NaN where these divide 0 by 0."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss, mutual_info_score
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    shares = np.empty((codes.shape[1], factors.shape[1]))
    for j, labels in enumerate(factors.T):
        for i, code in enumerate(codes.T):
            if discrete:
                information = mutual_info_score(labels, code)
            else:
                information = scikit_learns((code - code.mean()) / (code.std() or 1), labels, 0, 10)
            shares[i, j] = information / mutual_info_score(labels, labels)
    ranges = codes.max(axis=0) - codes.min(axis=0)
    shares = shares[ranges > (0 if discrete else ranges.max() / 20)]
    d, f = shares.shape
    with np.errstate(invalid="ignore"):
        infom = ((shares.max(axis=1) / shares.sum(axis=1)).mean() - 1 / f) / (1 - 1 / f)
        infoc = ((shares.max(axis=0) / shares.sum(axis=0)).mean() - 1 / d) / (1 - 1 / d)
    scaled = (OneHotEncoder() if discrete else StandardScaler()).fit_transform(codes)
    explicit = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for labels in factors.T:
            model = LogisticRegression(C=np.inf, class_weight="balanced")
            losses = [log_loss(labels, model.fit(x, labels).predict_proba(x)) for x in (0 * scaled, scaled)]
            explicit.append(1 - losses[1] / losses[0])
    return float(infom), float(np.mean(explicit)), float(infoc)


@pytest.mark.parametrize("case", [c for c in CASES if c.startswith("mini")])
def test_paper_mode_is_the_authors_definition(case: str) -> None:
    codes, factors, _ = load(case)
    result = infomec(codes, factors, mode="paper")
    infom, infoe, infoc = authors(codes, factors, discrete=False)
    # Equal values are told apart by noise, in which the two differ.
    ties = len(np.unique(codes[:, 0])) < len(codes) / 2
    assert result.infoe == pytest.approx(infoe, abs=1e-6)
    for ours, theirs in ((result.infom, infom), (result.infoc, infoc)):
        if not np.isnan(theirs):
            assert ours == pytest.approx(theirs, abs=0.05 if ties else 1e-5)


def test_paper_mode_with_discrete_latents() -> None:
    codes = np.hstack([GRID + (NOISE > 1), GRID[:, :1]]).astype(int)
    result = infomec(codes, GRID, mode="paper", latents="discrete")
    ours = result.infom, result.infoe, result.infoc
    np.testing.assert_allclose(ours, authors(codes, GRID, discrete=True), atol=1e-6)


@pytest.mark.parametrize(
    ("codes", "least", "most"),
    [
        (SPREAD, (0.9, 0.99, 0.9), (1, 1, 1)),
        (np.hstack([SPREAD, np.zeros((1200, 2))]), (0.9, 0.99, 0.9), (1, 1, 1)),
        (np.hstack([SPREAD, 0.01 * NOISE]), (0.9, 0.99, 0.9), (1, 1, 1)),  # not active
        (np.hstack([SPREAD, -SPREAD]), (0.9, 0.99, 0.35), (1, 1, 0.45)),
        (SPREAD @ [[1, 1, 0], [1, -1, 0], [0, 0, 1]], (0.4, 0.99, 0.3), (0.8, 1, 0.8)),
        (NOISE, (0, 0, 0), (1, 0.01, 1)),
        (np.full((1200, 2), 0.3), (0, 0, 0), (0, 0, 0)),
    ],
    ids=["identity", "dead", "small", "duplicated", "rotated", "noise", "constant"],
)
def test_known_answers(codes: Any, least: Any, most: Any) -> None:
    for mode in ("default", "paper"):
        result = infomec(codes, GRID, mode=mode)
        found = np.array([result.infom, result.infoe, result.infoc])
        assert (found >= np.array(least) - 1e-9).all(), (mode, found)
        slack = 0.02 if mode == "paper" else 1e-9  # noise is fitted
        assert (found <= np.array(most) + slack).all(), (mode, found)


def test_discrete_by_hand() -> None:
    # Code 0 is factor 0, code 1 is both factors; N = [[1, 0], [1, 1]] up to rounding.
    factors = np.tile(np.indices((2, 2)).reshape(2, -1).T, (50, 1))
    codes = np.stack([7 * factors[:, 0], factors @ [1, 2]], axis=1)
    result = infomec(codes, factors, mode="paper", latents="discrete")
    np.testing.assert_allclose(result.normalised, [[1, 0], [1, 1]], atol=1e-9)
    np.testing.assert_allclose(result.per_code, [1, 0], atol=1e-9)
    np.testing.assert_allclose(result.per_factor, [0, 1], atol=1e-9)
    assert result.infoe == pytest.approx(1, abs=1e-2)


def test_one_factor_or_one_active_code() -> None:
    one = infomec(SPREAD, GRID[:, :1])
    assert one.active.all()
    assert one.per_code[0] == 1
    single = infomec(SPREAD[:, 2:], GRID)
    assert single.active.tolist() == [True]
    assert single.per_factor[2] == 1
    assert single.infom > 0.9


def test_explicitness_is_scored_on_the_test_points() -> None:
    codes, factors = NOISE[:60], GRID[:60]
    wrong = (factors + 1) % SIZES
    same = infomec(10.0 * factors, factors, test=(10.0 * factors, factors))
    other = infomec(10.0 * factors, factors, test=(10.0 * factors, wrong))
    assert same.infoe > 0.99
    assert other.infoe == 0.0
    assert same.infom == other.infom
    assert infomec(codes, factors, mode="paper").infoe > infomec(codes, factors).infoe


def test_classes_in_the_test_points_only_are_left_out() -> None:
    codes, factors = SPREAD[:, :1], GRID[:, :1]
    known = infomec(codes, factors, test=(codes, factors))
    test = np.vstack([codes, [[9.0]]]), np.vstack([factors, [[8]]])
    assert infomec(codes, factors, test=test).infoe == pytest.approx(known.infoe, abs=1e-9)
    assert infomec(codes, factors, test=(codes, factors + 10)).infoe == 0.0


def test_values_in_the_test_points_only_have_no_column() -> None:
    result = infomec(GRID, GRID, test=(GRID + 100, GRID), latents="discrete")
    assert 0 <= result.infoe < 0.1


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
@pytest.mark.parametrize("mode", ["default", "paper"])
def test_extreme_scales(scale: float, mode: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = infomec(SPREAD[:300] * scale, GRID[:300], mode=mode)
    assert result.infom > 0.8
    assert result.infoe > 0.99


def test_near_constant_codes() -> None:
    close = np.nextafter(7.0, 7.0 + GRID[:, 1:2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = infomec(close, GRID[:, 1:2])
    assert result.infoe > 0.99


def test_seed_and_points() -> None:
    first, again = (infomec(SPREAD, GRID, rng=5, train_points=300, test_points=100) for _ in range(2))
    np.testing.assert_array_equal(first.normalised, again.normalised)
    rng = np.random.default_rng(5)
    rows, held_out = np.split(rng.choice(1200, 400, replace=False), [300])  # none twice
    same = infomec(SPREAD[rows], GRID[rows], test=(SPREAD[held_out], GRID[held_out]), rng=rng)
    assert same.scores() == first.scores()
    # Asked for more rows than there are, it takes each once, in the same proportion.
    most = infomec(SPREAD[:400], GRID[:400], rng=5, train_points=3000, test_points=1000)
    rng = np.random.default_rng(5)
    rows, held_out = np.split(rng.choice(400, 400, replace=False), [300])
    same = infomec(SPREAD[rows], GRID[rows], test=(SPREAD[held_out], GRID[held_out]), rng=rng)
    assert same.scores() == most.scores()
    paper = infomec(SPREAD, GRID, rng=5, train_points=300, mode="paper")
    np.testing.assert_array_equal(paper.normalised[0, :1].round(1), first.normalised[0, :1].round(1))
    legacy = [infomec(SPREAD, GRID, rng=np.random.RandomState(1), mode="paper").infom for _ in range(2)]
    assert legacy[0] == legacy[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latents": "binary"}, "latents is 'binary'; expected 'continuous' or 'discrete'"),
        ({"mode": "dlib"}, "mode is 'dlib'"),
        (
            {"mode": "paper", "train_points": 3},
            "train_points is 3, fewer than the 5 classes of factors column 2",
        ),
        ({"train_points": 30}, "train_points is given and test_points is not"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        infomec(SPREAD, GRID, **options)


def test_too_many_values_for_discrete_codes() -> None:
    codes = np.arange(12_000.0).reshape(6000, 2)
    with pytest.raises(InputError, match=r"codes have \d+ different values.*at most 5000 with discrete"):
        infomec(codes, np.arange(6000)[:, None] % 2, latents="discrete", mode="paper")
