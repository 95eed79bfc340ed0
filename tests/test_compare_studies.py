"""Two studies, cell by cell: which cells belong together, what filters choose, and what is only told."""

import math

import pandas as pd
import pytest

from disentangle.compare_studies import compare_studies
from disentangle.errors import InputError

from ._tables import table

A, B = [0.3, 0.5, 0.4], [0.2, 0.3, 0.1]


def only(found):
    [line] = found.frame.to_dict("records")
    return line


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


def test_a_number_that_is_written_in_two_ways_is_one():
    ours, theirs = table(A, setting="beta=4, k=rnd"), table(B, "b", setting="beta=4.0, k=rnd")
    found = compare_studies(ours, theirs)
    assert only(found)["test"] == "paired t"
    assert found.told == ()
    assert (
        compare_studies(ours, table(B, "b", setting="beta=4.0, k=1"))
        .told[0]
        .startswith(
            "Not compared, since settings that are alike in all else differ in k (ours rnd; theirs 1);"
        )
    )
    for more in ("", ", k=rnd, n=1"):  # a hyperparameter of one side alone
        assert compare_studies(ours, table(B, "b", setting=f"beta=4{more}")).frame.empty
    twice = pd.concat([ours, table(A, "c", setting="beta=4.0, k=rnd")])
    with pytest.raises(InputError, match=r"two settings of ours .*choose one with --ours setting=VALUE"):
        compare_studies(twice, theirs)
    assert len(compare_studies(twice, theirs, ours_where={"setting": "beta=4, k=rnd"}).frame) == 1


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


# Images

FIRST, SECOND = "sha256:faaf9cf5fa", "sha256:abababababab"


@pytest.mark.parametrize("key", ["a", "b"])  # the same runs, or others
def test_other_images_of_one_data_set_and_source_are_not_compared(key):
    found = compare_studies(table(A, data_checksum=FIRST), table(B, key, data_checksum=SECOND))
    assert found.frame.empty
    assert found.told == ("Not compared: mig: source drawn:faaf9cf5 against drawn:abababab.",)


@pytest.mark.parametrize("theirs", [{"data_checksum": FIRST}, {"data_checksum": ""}, {}])
def test_the_same_images_and_untold_ones_are_compared(theirs):
    found = compare_studies(table(A, data_checksum=FIRST), table(B, "b", **theirs))
    assert only(found)["source"] == "drawn"


def test_images_are_known_by_their_checksum_where_one_study_has_several():
    both = pd.concat([
        table(A, source="drawn:faaf9cf5", data_checksum=FIRST),
        table([*A[1:], 0.1], "c", source="drawn:abababab", data_checksum=SECOND),
    ])  # fmt: skip
    theirs = table(B, "b", data_checksum=FIRST)
    found = only(compare_studies(both, theirs))
    assert (found["source"], found["difference"]) == ("drawn:faaf9cf5", pytest.approx(0.2))
    untold = [table(v, key, data_checksum="", steps=9) for v, key in ((A, "d"), (B, "e"))]
    more = compare_studies(pd.concat([both, untold[0]]), pd.concat([theirs, untold[1]])).frame
    assert more["source"].tolist() == ["drawn", "drawn:faaf9cf5"]
    chosen = {"source": "drawn"}  # as their table has it
    assert only(compare_studies(both, theirs, theirs_where=chosen))["difference"] == found["difference"]


def test_older_tables_do_not_tell_the_precision():
    ours, theirs = table(A), table(B, "b")
    for old in (ours.drop(columns="precision"), ours.assign(precision=["", "fp32", ""])):
        line = only(compare_studies(old, theirs))
        assert (line["precision"], line["n"]) == ("fp32", 3)
        assert compare_studies(old, theirs.assign(precision="bf16")).frame.empty


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
