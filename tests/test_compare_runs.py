"""Two studies, cell by cell: which of their runs are compared, and by which test."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from disentangle.compare_studies import compare_studies

from ._tables import table

A, B = [0.3, 0.5, 0.4], [0.2, 0.3, 0.1]


def only(found):
    [line] = found.frame.to_dict("records")
    return line


def test_runs_of_one_seed_are_paired_whatever_their_order():
    line = only(compare_studies(table(A), table(B, "b")))
    assert (line["test"], line["seeds"], line["comparisons"]) == ("paired t", "0-2", 1)
    assert (line["difference"], line["p"]) == (pytest.approx(0.2), pytest.approx(0.0741799, rel=1e-5))
    assert line["p_holm"] == line["p"]
    again = only(compare_studies(table(A).iloc[[2, 0, 1]], table(B, "b").iloc[::-1]))
    assert {k: str(v) for k, v in line.items()} == {k: str(v) for k, v in again.items()}


def test_left_over_seeds_are_told_and_not_in_the_difference():
    line = only(compare_studies(table([9.0, *A, 8.0]), table(B, "b", [1, 2, 3])))
    assert line["difference"] == pytest.approx(0.2)
    assert (line["mean"], line["n"]) == (pytest.approx(0.4), 3)
    assert (line["seeds"], line["only_ours"], line["only_theirs"]) == ("1-3", "0, 4", "")


@pytest.mark.parametrize(
    ("seeds", "test", "paired"),
    [
        ([7, 8, 9], "Welch t", ""),  # none in common
        ([3, 4, 5, 6], "Welch t", ""),  # one
        ([2, 3, 4, 5], "Welch t", ""),  # two of four
        ([0, 1, 2, 9], "Welch t", ""),  # all but one
        ([3], "none", ""),
        ([2, 3], "paired t", "2-3"),
        ([0, 1, 3], "paired t", "0-1, 3"),
        ([0, 1, 2, 3], "paired t", "0-3"),
        ([0, 1, 2, 3, 4], "paired t", "0-3"),
    ],
)
def test_runs_are_paired_only_where_the_side_with_fewer_seeds_has_them_all_in_common(seeds, test, paired):
    ours, theirs = dict(enumerate([0.3, 0.5, 0.45, 0.2])), {s: 0.1 + s * s / 90 for s in seeds}
    tables = table(list(ours.values())), table(list(theirs.values()), "b", seeds)
    line, swapped = only(compare_studies(*tables)), only(compare_studies(*tables[::-1]))
    assert (line["test"], line["seeds"]) == (swapped["test"], swapped["seeds"]) == (test, paired)
    if test == "paired t":
        both = [s for s in seeds if s in ours]
        assert (line["n"], line["theirs_n"]) == (len(both), len(both))
        assert line["p"] == pytest.approx(
            stats.ttest_rel(*[[x[s] for s in both] for x in (ours, theirs)]).pvalue
        )
        return
    assert (line["n"], line["theirs_n"]) == (4, len(seeds))
    assert line["difference"] == pytest.approx(np.mean([*ours.values()]) - np.mean([*theirs.values()]))
    if test == "Welch t":
        reference = stats.ttest_ind([*ours.values()], [*theirs.values()], equal_var=False)
        assert line["p"] == pytest.approx(reference.pvalue)


@pytest.mark.parametrize(
    ("lost", "theirs_lost", "test", "seeds"),
    [
        ([3], [0], "paired t", "1-2"),
        ([], [0], "paired t", "1-3"),
        ([3], [], "paired t", "0-2"),
        ([3], [0, 1], "Welch t", ""),  # one seed has a value in both
    ],
)
def test_a_run_that_diverged_leaves_the_other_seeds_paired(lost, theirs_lost, test, seeds):
    sides = []
    for key, values, gone in (("a", [0.3, 0.5, 0.45, 0.2], lost), ("b", [0.2, 0.1, 0.3, 0.25], theirs_lost)):
        left = [s for s in range(4) if s not in gone]
        nothing = {"status": "diverged", "score": "", "metric_id": ""}
        done = table([values[s] for s in left], key, left)
        sides.append(pd.concat([done, table([math.nan] * len(gone), key, gone, **nothing)]))
    line = only(compare_studies(*sides))
    assert (line["test"], line["seeds"]) == (test, seeds)


@pytest.mark.parametrize(
    ("ours", "theirs", "seeds"),
    [
        ([0.1, 0.2], [0.3, 0.4], [0, 1]),  # the same difference
        ([0.1, 0.1], [0.1, 0.1], [0, 1]),
        ([0.1, 0.2], [0.1, 0.2], [0, 1]),
        ([0.1, 0.1], [0.3, 0.3, 0.3], [7, 8, 9]),
    ],
)
def test_what_does_not_vary_is_not_tested_and_not_counted(ours, theirs, seeds):
    sap = {"score": "sap", "metric_id": "sap@1"}
    tables = [
        pd.concat([table(A, "m", **sap), table(ours)]),
        pd.concat([table(B, "n", **sap), table(theirs, "b", seeds)]),
    ]
    frame = compare_studies(*tables).frame.set_index("score")
    line = frame.loc["mig"]
    assert (line["test"], line["verdict"]) == ("none", "not tested: no spread")
    assert line[["ci95_half_width", "effect", "p", "p_holm", "comparisons"]].isna().all()
    assert line["difference"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert frame.loc["sap", "comparisons"] == 1


def test_one_seed_each_has_a_difference_and_no_test():
    line = only(compare_studies(table([0.3]), table([0.1], "b")))
    assert (line["difference"], line["verdict"]) == (pytest.approx(0.2), "not tested: one seed")
    assert math.isnan(line["p"])
    assert math.isnan(line["p_holm"])


def test_the_same_models_are_told_and_not_tested_nor_counted():
    found = compare_studies(table(A), table([*A, 0.6]))
    line = only(found)
    assert (line["test"], line["verdict"], line["difference"]) == ("none", "the same models", 0)
    assert (line["shared"], line["n_shared"], line["only_theirs"]) == ("0-2", 3, "3")
    assert math.isnan(line["p"])


@pytest.mark.parametrize(("seeds", "test"), [([2, 3, 4], "paired t"), ([7, 8], "Welch t")])
def test_models_that_both_share_are_in_neither_sample(seeds, test):
    shared, mine = table([0.5, 0.6]), table(A, seeds=[2, 3, 4])
    theirs = table(B[: len(seeds)], "b", seeds)
    line = only(compare_studies(pd.concat([shared, mine]), pd.concat([shared, theirs])))
    alone = only(compare_studies(mine, theirs))
    assert (line["test"], line["shared"], line["n_shared"]) == (test, "0-1", 2)
    assert (alone["shared"], alone["n_shared"]) == ("", 0)
    for name in ("mean", "n", "theirs_mean", "theirs_n", "difference", "ci95_half_width", "p", "verdict"):
        assert line[name] == alone[name]


def test_one_run_with_two_values_is_told_and_is_no_pair():
    line = only(compare_studies(table(A), table([0.3, 0.5, 0.9])))
    assert (line["test"], line["verdict"]) == ("none", "the same runs, other values")
    assert (line["shared"], line["shared_unequal"], line["n_shared"]) == ("0-1", "2", 2)


def test_seeds_without_a_value_in_one_study_are_not_only_in_the_other():
    lost = table([float("nan")], "a", [3]), table([float("nan")], "b", [4])
    ours, theirs = (pd.concat([table(v, k), one]) for v, k, one in zip((A, B), "ab", lost, strict=True))
    more = table([0.1, 0.2], "b", [3, 7]), table([0.1, 0.2], "a", [4, 8])
    line = only(compare_studies(pd.concat([ours, more[1]]), pd.concat([theirs, more[0]])))
    assert (line["only_ours"], line["only_theirs"]) == ("8", "7")


def test_all_p_are_corrected_together():
    sap = {"score": "sap", "metric_id": "sap@1"}
    ours = pd.concat([table(A), table(A, **sap)])
    theirs = pd.concat([table(B, "b"), table([0.31, 0.52, 0.39], "b", **sap)])
    frame = compare_studies(ours, theirs).frame.set_index("score")
    assert frame["comparisons"].tolist() == [2, 2]
    assert frame.loc["mig", "p_holm"] == pytest.approx(2 * frame.loc["mig", "p"])
    assert frame.loc["sap", "p_holm"] == pytest.approx(max(frame.loc["sap", "p"], 2 * frame.loc["mig", "p"]))


def test_the_verdict_is_of_the_corrected_p():
    ours = [0.4, 0.41, 0.42, 0.40]
    line = only(compare_studies(table(ours), table([0.1, 0.11, 0.13, 0.1], "b")))
    assert line["verdict"] == "ours higher"
    ids = [(f"m{i}", f"m{i}@1") for i in range(400)]
    many = [pd.concat([table(ours, k, score=s, metric_id=i) for s, i in ids]) for k in "ab"]
    noisy = many[1].assign(value=np.random.default_rng(0).normal(0.4, 0.01, len(many[1])))
    raw = compare_studies(many[0], noisy).frame
    assert (raw["p"] < 0.05).any()
    assert set(raw["verdict"]) == {"no difference shown"}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 100)] * 2), min_size=2, max_size=5))
def test_swapping_the_studies_swaps_the_answer(values):
    ours = table([a / 100 for a, _ in values])
    theirs = table([b / 100 for _, b in values], "b")
    line, swapped = only(compare_studies(ours, theirs)), only(compare_studies(theirs, ours))
    assert line["difference"] == -swapped["difference"]
    assert (line["test"], line["verdict"] == "not tested: no spread") == (
        swapped["test"], math.isnan(swapped["p"]),
    )  # fmt: skip
    if line["test"] != "none":
        assert line["effect"] == -swapped["effect"]
        assert line["p_holm"] == swapped["p_holm"]
    assert (line["mean"], line["n"]) == (swapped["theirs_mean"], swapped["theirs_n"])
