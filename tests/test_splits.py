"""Splits, and what is drawn of grids that have them, gaps, or several images of a cell."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle import FactorData, InputError, Run, find
from disentangle.batches import Batches
from disentangle.images import Pixels
from disentangle.sampling import Sampler
from disentangle.splits import parse, tidy
from disentangle.train import train
from disentangle.weak import weak_reconstruction

SIZES = (3, 4, 5)
TOY = find.get("dataset", "toy").load()


def grid(cells=None, sizes=SIZES, side=2):
    """A grid whose images are noise; with the cells of its images if they are not one of each."""
    count = int(np.prod(sizes)) if cells is None else len(cells)
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side), dtype=np.uint8)
    names, values = tuple("abcdefg"[: len(sizes)]), tuple(map(np.arange, sizes))
    cells = None if cells is None else np.asarray(cells, np.int64)
    return FactorData("grid", names, values, Pixels(pixels), "user", "", cells=cells)


def drawn(data, n=20_000, seed=0):
    return data.factors(Sampler(data).images(n, np.random.default_rng(seed)))


def test_a_grid_may_have_gaps_and_several_images_of_a_cell():
    data = grid([0, 0, 1, 7, 7, 7, 59])
    assert (len(data), data.grid) == (7, 60)
    assert data.factors([0, 1, 2, 6]).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1], [2, 3, 4]]
    assert data.index([[0, 0, 0], [0, 1, 2], [2, 3, 4]]).tolist() == [0, 3, 6]
    assert data.index([[[0, 0, 1]]]).tolist() == [[2]]
    with pytest.raises(InputError, match=r"grid has no image of the factors \[0, 0, 2\]"):
        data.index([[0, 0, 0], [0, 0, 2]])
    with pytest.raises(InputError, match=r"grid has no image of the factors \[2, 3, 3\]"):
        grid([0, 1]).index([2, 3, 3])
    same = Sampler(data).any_image(np.tile([[0, 1, 2]], (300, 1)), np.random.default_rng(0))
    assert np.bincount(same, minlength=6)[3:].min() > 70
    for wrong in ([1, 0], [0, 60], [-1, 0]):
        with pytest.raises(InputError, match=r"grid: cells must rise and be in 0..59"):
            grid(wrong)
    with pytest.raises(InputError, match="need so many cells"):
        dataclasses.replace(data, cells=np.arange(3))


def test_every_image_is_drawn_as_often_as_any_other():
    data = grid([0, 0, 1, 7, 7, 7, 59])
    counts = np.bincount(Sampler(data).images(70_000, np.random.default_rng(0)))
    assert np.allclose(counts, 10_000, rtol=0.05)


def test_a_correlation_weights_as_its_formula_says():
    data = grid(sizes=(5, 2, 9)).with_split("correlated a c 0.2")
    each = parse(data.split, data).weights().reshape(5, 2, 9)
    for a, b, c in itertools.product(*map(range, (5, 2, 9))):
        assert each[a, b, c] == pytest.approx(np.exp(-((a / 4 - c / 8) ** 2) / (2 * 0.2**2)))
    factors = drawn(data)
    assert np.allclose(np.bincount(factors[:, 1]) / 20_000, 0.5, atol=0.02)
    found = np.bincount(factors[:, 0] * 9 + factors[:, 2], minlength=45) / 20_000
    expected = each[:, 0].ravel() / each[:, 0].sum()
    assert np.allclose(found, expected, atol=0.01)
    turned = parse("anticorrelated c a 0.2", data).weights().reshape(5, 2, 9)
    assert np.allclose(turned, each[::-1])
    strengths = [
        np.corrcoef(drawn(data.with_split(f"correlated a c {s}"))[:, [0, 2]].T)[0, 1] for s in (0.1, 0.4, 5)
    ]
    assert strengths[0] > 0.9 > strengths[1] > 0.3 > abs(strengths[2])


def test_two_correlations_and_a_hole_go_together():
    data = grid(sizes=(4, 4, 4, 4)).with_split(
        "correlated a b .1 and anticorrelated c d .1 and without a=0 c=1-2"
    )
    factors = drawn(data)
    assert np.corrcoef(factors[:, 0], factors[:, 1])[0, 1] > 0.9
    assert np.corrcoef(factors[:, 2], factors[:, 3])[0, 1] < -0.9
    assert not ((factors[:, 0] == 0) & (factors[:, 2] % 3 != 0)).any()
    assert (factors[:, 0] == 0).any()


def test_what_is_held_out_is_never_shown_but_scored():
    data = grid().with_split("without 25%")
    held = ~parse(data.split, data).shown
    assert held.sum() == 15
    assert np.array_equal(held, ~parse("without 25%", data).shown)
    found = Sampler(data).images(5000, np.random.default_rng(0))
    assert set(found) == set(np.flatnonzero(~held))
    assert len(data.all_factors()) == 60


@pytest.mark.parametrize("rule", ["paper", "dlib"])
@pytest.mark.parametrize(
    "split", ["without 30%", "correlated a c .15", "correlated c b .3 and without a=0 b=0-1"]
)
@pytest.mark.parametrize("k", [1, 2, "rnd"])
def test_pairs_are_of_what_is_shown_and_change_what_they_say(rule, split, k):
    data = grid().with_split(split)
    pairs = data.pairs(4000, k, rule, 0)
    there = parse(split, data).shown
    for factors in (pairs.first, pairs.second):
        assert there[np.ravel_multi_index(tuple(factors.T), SIZES)].all()
    assert (pairs.changed <= pairs.redrawn).all()
    assert pairs.redrawn[np.arange(4000), pairs.label].all()
    if rule == "paper":
        assert np.array_equal(pairs.changed, pairs.redrawn)
        counts = np.bincount(pairs.changed.sum(1), minlength=4)
        assert (counts[1:3] > 1900).all() if k == "rnd" else counts[k] == 4000


def test_a_changed_factor_follows_the_one_that_stays():
    data = grid(sizes=(6, 2, 6)).with_split("correlated a c 0.2")
    pairs = data.pairs(40_000, 1, "paper", 1)
    table = np.exp(-((np.arange(6)[:, None] - np.arange(6)) ** 2) / 25 / (2 * 0.2**2))
    moved = pairs.redrawn[:, 0]
    for c, own in ((0, 0), (3, 2), (3, 3)):  # x2's a, given c and that it differs from x1's
        one = moved & (pairs.first[:, 2] == c) & (pairs.first[:, 0] == own)
        expected = np.where(np.arange(6) == own, 0, table[:, c])
        found = np.bincount(pairs.second[one, 0], minlength=6) / one.sum()
        assert np.allclose(found, expected / expected.sum(), atol=0.05), (c, own)
    # Which factor changes does not depend on how likely its new values are.
    assert np.allclose(pairs.redrawn.mean(0), 1 / 3, atol=0.01)


def test_a_strength_whose_weights_underflow_still_gives_pairs():
    data = grid(sizes=(6, 3, 6)).with_split("correlated a c 0.001")
    pairs = data.pairs(500, "rnd", "paper", 0)
    assert np.array_equal(pairs.first[:, 0], pairs.first[:, 2])
    assert (pairs.changed.sum(1) >= 1).all()


def test_held_out_images_stay_out_where_all_weights_underflow():
    data = TOY.with_split(
        "correlated x y 0.003 and " + " and ".join(f"without x={i} y={i}" for i in range(8))
    )
    factors = drawn(data, 500)
    assert (factors[:, 1] != factors[:, 2]).all()
    assert (np.abs(factors[:, 1] - factors[:, 2]) == 1).all()
    assert len(np.unique(factors, axis=0)) == 3 * 14


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_only_partner_is_found(k):
    """Of 8,000 cells three have images; the last differs from the others in all factors."""
    data = grid([0, 1, 7_999], sizes=(20, 20, 20))
    if k == 2:
        with pytest.raises(InputError, match="in 2 factors"):
            data.pairs(5, k)
        return
    pairs = data.pairs(50, k, "paper", 0)
    assert (pairs.changed.sum(1) == k).all()


def test_which_factor_changes_is_uniform_over_those_that_can():
    """From cell (0, 0) one other is reached along a and 22 along b."""
    cells = [*range(23), 183]
    pairs = grid(cells, sizes=(24, 183)).pairs(20_000, 1, "paper", 0)
    start = (pairs.first == 0).all(1)
    assert start.sum() > 500
    assert pairs.redrawn[start].mean(0) == pytest.approx([0.5, 0.5], abs=0.07)


@pytest.mark.parametrize("path", ["weighed", "matched", "tried"])
@pytest.mark.parametrize("rule", ["paper", "dlib"])
@pytest.mark.parametrize("k", [1, 2])
def test_a_pair_follows_the_law_that_all_images_counted_give(path, rule, k, monkeypatch):
    """On a small grid with gaps, several images of a cell, a correlation and a hole, by brute force."""
    cells = [0, 0, 0, 1, 2, 5, 6, 6, 8, 9, 11, 13, 14, 14, 17, 19, 20, 22, 23, 23]
    data = grid(cells, sizes=(3, 2, 4)).with_split("correlated a c 0.6 and without a=0 b=0 c=1")
    limits = {"weighed": (10**9, 0), "matched": (10**9, 10**9), "tried": (0, 0)}[path]
    monkeypatch.setattr("disentangle.sampling.MOST", limits[0])
    monkeypatch.setattr("disentangle.sampling.LIST", limits[1])
    if path == "weighed":
        monkeypatch.setattr(Sampler, "_cells", np.arange(10**4))
    n = 60_000
    pairs = data.pairs(n, k, rule, 3)
    each = data.factors(np.arange(len(cells)))
    weight = parse(data.split, data).weights()
    strides = np.array([8, 4, 1])
    expected: dict[tuple[int, int], float] = {}
    for i in np.flatnonzero(weight):
        one, laws = each[i], []
        for moving in itertools.combinations(range(3), k):
            stays = [f for f in range(3) if f not in moving]
            fits = (each[:, stays] == one[stays]).all(1)
            if rule == "paper":
                fits &= (each[:, list(moving)] != one[list(moving)]).all(1)
            law = np.where(fits, weight, 0)
            laws += [law / law.sum()] if law.sum() > 0 else []
        if laws:
            share = weight[i] / len(laws)
            for law in laws:
                for j in np.flatnonzero(law):
                    key = (int(one @ strides), int(each[j] @ strides))
                    expected[key] = expected.get(key, 0) + share * law[j]
    total = sum(expected.values())
    found = dict(
        zip(*np.unique(pairs.first @ strides * 24 + pairs.second @ strides, return_counts=True), strict=True)
    )
    keys = {a * 24 + b for a, b in expected}
    assert set(found) <= keys
    # dlib's number of changes is 1 or k, so that its law for k = 2 is a mixture: support only.
    if rule == "paper" or k == 1:
        chi2 = sum(
            (found.get(a * 24 + b, 0) - n * p / total) ** 2 / (n * p / total)
            for (a, b), p in expected.items()
        )
        assert chi2 < len(expected) + 5 * (2 * len(expected)) ** 0.5


def test_sparse_grids_of_many_values_are_quick_and_small():
    rng = np.random.default_rng(0)
    sizes = (45, 45, 45, 45, 12)
    data = grid(np.unique(rng.integers(0, int(np.prod(sizes)), 3000)), sizes=sizes)
    pairs = data.pairs(4, 4, "paper", 0)
    assert (pairs.changed.sum(1) == 4).all()


def test_many_factors_that_change_are_tried_and_then_weighed():
    sizes = (20, 20, 20)  # 6,859 combinations of three new values
    data = grid(sizes=sizes).with_split("correlated a c .1 and without 90%")
    pairs = data.pairs(300, 3, "paper", 0)
    assert pairs.changed.all()
    assert parse(data.split, data).shown[np.ravel_multi_index(tuple(pairs.second.T), sizes)].all()
    apart = np.abs(pairs.second[:, 0] - pairs.second[:, 2]) / 19
    assert apart.mean() < 0.12


def test_an_image_without_a_partner_is_told():
    lonely = grid([0, 59])  # all three factors differ
    with pytest.raises(InputError, match=r"none was found to differ .* in 1 factors, nor from 999 others"):
        lonely.pairs(3, 1)
    assert lonely.pairs(3, 3).changed.all()


def test_where_a_combination_is_missing_other_factors_change():
    data = grid([0, 1, 20, 21])  # all have b = 0
    pairs = data.pairs(2000, 1, "paper", 0)
    assert not pairs.changed[:, 1].any()
    assert np.allclose(pairs.changed.mean(0), [0.5, 0, 0.5], atol=0.05)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_pairs_of_any_grid_exist(draw):
    sizes = tuple(draw.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    total = int(np.prod(sizes))
    cells = sorted(draw.draw(st.lists(st.integers(0, total - 1), min_size=2, max_size=30)))
    data = grid(cells, sizes)
    rule = draw.draw(st.sampled_from(["paper", "dlib"]))
    try:
        pairs = data.pairs(20, 1, rule, 0)
    except InputError:  # no factor can change, or no two images differ in one
        factors = data.factors(np.arange(len(data)))
        assert rule == "paper"
        assert not ((factors[:, None] != factors).sum(2) == 1).any()
        return
    assert set(np.ravel_multi_index(tuple(pairs.second.T), sizes)) <= set(cells)
    assert (pairs.changed.sum(1) <= 1).all()


@pytest.mark.parametrize("method", ["beta_vae", "ada_gvae", "gvae", "factor_vae"])
@pytest.mark.parametrize("kind", ["gaps", "split"])
def test_training_and_label_free_scores_take_them(method, kind):
    cells = [c for c in range(60) if c % 7] + [59, 59]
    data = grid(cells if kind == "gaps" else None, side=64)
    split = "correlated a c .3 and without b=0" if kind == "split" else ""
    run = Run(method=method, dataset="grid", source="user", steps=3, batch=4, split=split).complete()
    [a], [b] = train([run], data, device="cpu"), train([run], data, device="cpu")
    assert a.values == b.values
    index = Batches(run, data.with_split(split)).span(0, 50)["index"]
    assert (index < len(data)).all()
    if kind == "split":
        assert (data.factors(index)[..., 1] > 0).all()
    if find.get("method", method).pairs:
        assert np.isfinite(weak_reconstruction(run, a.model, data, pairs=64).value)


def test_a_split_is_part_of_a_run_and_written_one_way():
    plain, split = (
        Run(method="vae", dataset="toy"),
        Run(method="vae", dataset="toy", split="correlated x y .20"),
    )
    assert split.complete().split == "correlated x y 0.2"
    assert split.key() == split.complete().key() != plain.key()
    assert split.complete().label() == "vae, correlated x y 0.2"
    one = "correlated x y 0.1 and without size=2 x=0-3"
    for other in (
        "  without   x=00-03  size=2-2 and  correlated y x 1e-1 ",
        "correlated x y .10 and without size=2 x=0-3 and correlated y x 0.1",
    ):
        assert tidy(other) == tidy(one) == one
        assert (
            Run(method="vae", dataset="toy", split=other).key()
            == Run(method="vae", dataset="toy", split=one).key()
        )
    assert tidy("without 050.0%") == "without 50%"
    assert tidy(tidy("correlated x y .123456789012345e-1")) == "correlated x y 0.0123456789012345"
    with pytest.raises(InputError, match="has no image of that, so nothing is held out"):
        grid([0, 1, 5]).with_split("without a=2")
    assert tidy("correlated a.b 0.10 0.12345678901") == "correlated 0.10 a.b 0.12345678901"
    assert TOY.with_split("").split == ""
    assert TOY.with_split("without  50%").split == "without 50%"
    images = torch.equal(TOY.images([3]), TOY.with_split("without 50%").images([3]))
    assert images


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("correlated x y", "split 'correlated x y': expected 'correlated A B s'"),
        ("sorted x y 1", "expected 'correlated A B s'"),
        ("correlated x z 1", "unknown factor of toy 'z'"),
        ("correlated x x 1", "two factors must be different"),
        ("correlated x y 0", r"strength must be a number from 1e-06 to 1e\+06, got '0'"),
        ("correlated x y big", r"strength must be a number from 1e-06 .* got 'big'"),
        ("correlated x y 1 and correlated y size 1", "a factor is in two correlations"),
        ("correlated x y .2 and", "nothing before or after an 'and'"),
        ("without", "expected 'correlated A B s'"),
        ("without and without x=1", "expected 'correlated A B s'"),
        ("without x", "'x' is no factor with its values"),
        ("correlated x y 1e200", r"from 1e-06 to 1e\+06, got '1e200'"),
        ("correlated x y 1e-7", r"from 1e-06 to 1e\+06, got '1e-7'"),
        ("correlated x y 1_0", "got '1_0'"),
        ("without x=1 x=2", "the factor x is there twice"),
        ("without x=99999999999999999999", "is no factor with its values"),
        ("without " + "9" * 400 + "%", "is no factor with its values"),
        ("without x=\u0661", "is no factor with its values"),
        ("without x=8", r"x has the values 0..7, got 'x=8'"),
        ("without x=5-2", r"x has the values 0..7, got 'x=5-2'"),
        ("without 0%", "holds out 0 of 192"),
        ("without 100%", "holds out 192 of 192"),
        ("without x=0-7", "leaves nothing of toy to train on"),
        ("without x=1 and and without y=1", "nothing before or after an 'and'"),
    ],
)
def test_what_is_no_split_is_told(split, message):
    with pytest.raises(InputError, match=message):
        TOY.with_split(split)
