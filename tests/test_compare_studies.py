"""Two studies, cell by cell: what is paired with what, what filters choose, and what is only told."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from disentangle.compare_studies import compare_studies
from disentangle.errors import InputError

from ._tables import table

A, B = [0.3, 0.5, 0.4], [0.2, 0.3, 0.1]


def only(found):
    [line] = found.frame.to_dict("records")
    return line


# Which runs are compared


def test_runs_of_one_seed_are_paired_whatever_their_order():
    line = only(compare_studies(table(A), table(B, "b")))
    assert (line["test"], line["seeds"], line["comparisons"]) == ("paired t", "0-2", 1)
    assert (line["difference"], line["p"]) == (pytest.approx(0.2), pytest.approx(0.0741799, rel=1e-5))
    assert line["p_holm"] == line["p"]
    again = only(compare_studies(table(A).iloc[[2, 0, 1]], table(B, "b").iloc[::-1]))
    assert {k: str(v) for k, v in line.items()} == {k: str(v) for k, v in again.items()}


def test_left_over_seeds_are_told_and_not_in_the_difference():
    line = only(compare_studies(table([9.0, *A]), table([*B, 7.0, 8.0], "b", [1, 2, 3, 7, 8])))
    assert line["difference"] == pytest.approx(0.2)
    assert (line["mean"], line["n"]) == (pytest.approx(0.4), 3)
    assert (line["seeds"], line["only_ours"], line["only_theirs"]) == ("1-3", "0", "7-8")


def test_without_common_seeds_the_means_are_compared():
    line = only(compare_studies(table(A), table([0.2, 0.3], "b", [7, 8])))
    assert (line["test"], line["n"], line["theirs_n"]) == ("Welch t", 3, 2)
    assert line["p"] == pytest.approx(stats.ttest_ind(A, [0.2, 0.3], equal_var=False).pvalue)


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
    assert (line["shared"], line["shared_unequal"]) == ("0-2", "2")


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
    assert line["effect"] == -swapped["effect"]
    assert line["p_holm"] == swapped["p_holm"]
    assert (line["mean"], line["n"]) == (swapped["theirs_mean"], swapped["theirs_n"])


# Filters


def test_filters_set_settings_against_each_other():
    both = pd.concat([table(A, precision="bf16"), table(B, "b", precision="fp32")])
    line = only(
        compare_studies(both, both, ours_where={"precision": "bf16"}, theirs_where={"precision": "fp32"})
    )
    assert (line["precision"], line["theirs_precision"]) == ("bf16", "fp32")
    assert line["difference"] == pytest.approx(0.2)


def test_of_a_hyperparameter_the_others_must_agree():
    settings = {"a": "beta=1, k=1", "b": "beta=4, k=1", "c": "beta=4, k=rnd"}
    frame = pd.concat([table(A if key == "a" else B, key, setting=text) for key, text in settings.items()])
    line = only(compare_studies(frame, frame, ours_where={"hyper.beta": "1"}, theirs_where={"beta": "4.0"}))
    assert (line["setting"], line["theirs_setting"]) == ("beta=1, k=1", "beta=4, k=1")
    with pytest.raises(InputError, match=r"two settings of theirs .*k=1.*k=rnd.*--theirs k=VALUE"):
        compare_studies(frame, frame, ours_where={"beta": "1", "k": "1"}, theirs_where={"beta": "4"})


def test_of_methods_the_hyperparameters_that_both_have_must_agree():
    frame = pd.concat([
        table(A), table(B, "b", setting="beta=1"), table(A, "c", method="ada_gvae", setting="beta=1, k=1"),
    ])  # fmt: skip
    found = compare_studies(
        frame, frame, ours_where={"method": "ada_gvae"}, theirs_where={"method": "beta_vae"}
    )
    assert only(found)["theirs_setting"] == "beta=1"
    assert found.told == ("Only in theirs: 1 cell of beta_vae beta=4 on toy.",)


def test_methods_whose_common_hyperparameters_differ_are_told_with_what_to_pass():
    frame = pd.concat(
        [table(A, method="ada_gvae", setting="beta=1, k=1"), table(B, "b"), table(B, "c", setting="beta=16")]
    )
    filters = {"method": "ada_gvae"}, {"method": "beta_vae"}
    found = compare_studies(frame, frame, ours_where=filters[0], theirs_where=filters[1])
    assert found.frame.empty
    assert found.told[0] == (
        "Not compared, since settings that are alike in all else differ in beta (ours 1; theirs 4, 16); to "
        "set them against each other, add a value for each side, such as --ours beta=1 --theirs beta=4."
    )
    sides = [{**where, "beta": beta} for where, beta in zip(filters, ("1", "4"), strict=True)]
    assert len(compare_studies(frame, frame, ours_where=sides[0], theirs_where=sides[1]).frame) == 1


def test_a_data_set_only_chooses():
    frame = pd.concat([table(A), table(A, "s", dataset="shapes3d")])
    other = pd.concat([table(B, "b"), table(B, "t", dataset="shapes3d")])
    assert compare_studies(frame, other, ours_where={"dataset": "toy"}).frame["dataset"].tolist() == ["toy"]
    apart = compare_studies(frame, other, ours_where={"dataset": "toy"}, theirs_where={"dataset": "shapes3d"})
    assert apart.frame.empty


def test_settings_with_commas_in_a_value_are_not_mixed():
    frames = [table(A, setting="sizes=64, 32"), table(B, "b", setting="sizes=64, 16")]
    assert compare_studies(*frames).frame.empty
    assert len(compare_studies(frames[0], table(B, "b", setting="sizes=64, 32")).frame) == 1


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"precison": "bf16"}, "unknown field among the runs of ours: 'precison'; did you mean 'precision'"),
        ({"k": "1"}, "unknown field .*'k'.*Known: batch, beta"),
        ({"precision": "tf32"}, "ours: precision=tf32 is in no run; there is 'fp32'"),
        ({"beta": "16"}, "ours: beta=16 is in no run; there is '4'"),
    ],
)
def test_filters_that_find_nothing_are_refused_with_what_there_is(where, said):
    with pytest.raises(InputError, match=said):
        compare_studies(table(A), table(B, "b"), ours_where=where)


# What is not compared


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"source": "official"}, "source drawn against official"),
        ({"steps": 300_000}, "steps 5 against 300,000"),
        ({"lr": 1e-4}, "lr 0.001 against 0.0001"),
        ({"precision": "bf16"}, "precision fp32 against bf16"),
        ({"split": "without 10%"}, "split none against without 10%"),
        ({"metric_id": "mig@1[rows=50000]"}, "metric id mig@1 against mig@1[rows=50000]"),
        ({"batch": 64, "latents": 6}, "batch 4 against 64, latents 10 against 6"),
    ],
)
def test_what_differs_in_another_field_is_told_and_not_compared(changed, said):
    found = compare_studies(table(A), table(B, "b", **changed))
    assert found.frame.empty
    assert found.told == (f"Not compared: mig: {said}.",)


def test_a_way_to_differ_is_told_once():
    sap = {"score": "sap", "metric_id": "sap@1"}
    ours, theirs = (pd.concat([table(v, **c), table(v, **c, **sap)]) for v, c in ((A, {}), (B, {"steps": 9})))
    assert compare_studies(ours, theirs).told == ("Not compared: mig, sap: steps 5 against 9 (2 cells).",)


def test_of_several_near_ones_the_nearest_is_told():
    theirs = pd.concat([table(B, "b", steps=9, batch=64), table(B, "c", steps=7)])
    assert compare_studies(table(A), theirs).told == (
        "Not compared: mig: steps 5 against 7.",
        "Only in theirs: 1 cell of beta_vae beta=4, steps=9, batch=64 on toy.",
    )


def test_other_settings_and_scores_are_only_counted():
    found = compare_studies(table(A), table(B, "b", setting="beta=16"))
    assert found.told[1:] == (
        "Only in ours: 1 cell of beta_vae beta=4 on toy.",
        "Only in theirs: 1 cell of beta_vae beta=16 on toy.",
    )


def test_headlines_unless_all_scores_are_wanted_and_never_udr():
    extra = [
        ("beta_vae_train", "beta_vae@1"),
        ("udr", "udr@1"),
        ("weak_reconstruction", "weak_reconstruction@1"),
    ]
    ours, theirs = (
        pd.concat([table(v, k), *(table(v, k, score=s, metric_id=i) for s, i in extra)])
        for v, k in ((A, "a"), (B, "b"))
    )
    assert compare_studies(ours, theirs).frame["score"].tolist() == ["mig"]
    every = compare_studies(ours, theirs, all_scores=True).frame["score"]
    assert sorted(every) == ["beta_vae_train", "mig", "weak_reconstruction"]


def test_calibration_is_not_compared():
    noise = table([0.9], "n", kind="calibration", method="noise", setting="")
    assert only(compare_studies(pd.concat([table(A), noise]), table(B, "b")))["n"] == 3


def test_bad_tables_are_refused():
    good = table(A)
    for bad, said in [
        (good.drop(columns=["seed", "lr"]), "theirs has no column seed, lr"),
        (good.assign(value="high"), "theirs, run a0: value is 'high'; expected a number, or nothing"),
        (good.assign(lr=math.inf), "theirs, run a0: lr is 'inf'"),
        (pd.concat([good, good]), "seed 0, on toy .* has mig@1 mig twice"),
        (good[good["seed"] > 5], "theirs has no scored run"),
    ]:
        with pytest.raises(InputError, match=said):
            compare_studies(good, bad)
