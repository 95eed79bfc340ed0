"""The numbers behind the figures: against calculations by hand, and laws that hold for all scores."""

import io
import itertools
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway

from disentangle.analysis import PARTS, models, rank_correlation, variance_shares
from disentangle.analysis_responses import responses
from disentangle.errors import InputError

HEADLINES = {"mig@1": "mig", "sap@1": "sap"}
SHARED = {
    "kind": "run", "dataset": "toy", "source": "drawn", "steps": 5, "batch": 4, "lr": 1e-3, "latents": 2,
    "precision": "fp32", "split": "", "status": "done",
}  # fmt: skip


def line(key, value, metric_id="mig@1", score="mig", method="vae", setting="", seed=0, **other):
    own = {"run_key": key, "method": method, "setting": setting, "seed": seed}
    return {**SHARED, **own, "metric_id": metric_id, "score": score, "value": value, **other}


def of_settings(groups, **other):
    """A frame of one metric from method, setting and the scores of its seeds."""
    found = [(m, s, i, v) for m, s, values in groups for i, v in enumerate(values)]
    return pd.DataFrame(
        [line(f"{m} {s} {i}", v, method=m, setting=s, seed=i, **other) for m, s, i, v in found]
    )


def of_pairs(mig, sap, **other):
    lines = [line(f"m{i}", v, seed=i, **other) for i, v in enumerate(mig)]
    lines += [line(f"m{i}", v, "sap@1", "sap", seed=i, **other) for i, v in enumerate(sap)]
    return pd.DataFrame(lines)


def cell(table, a="mig@1", b="sap@1"):
    return table[(table["metric_id_a"] == a) & (table["metric_id_b"] == b)].iloc[0]


def test_spearman_averages_the_ranks_of_equal_scores():
    # Ranks 1, 2.5, 2.5, 4 and 2, 1, 3, 4 about 2.5: the products add up to 3, the squares to 4.5 and 5.
    table = rank_correlation(of_pairs([0.1, 0.2, 0.2, 0.9], [0.3, 0.1, 0.5, 0.7]), HEADLINES)
    assert cell(table)["spearman"] == pytest.approx(3 / math.sqrt(4.5 * 5))
    assert cell(table)["n"] == 4
    assert cell(table, b="mig@1")["spearman"] == 1
    assert cell(table)["spearman"] == cell(table, "sap@1", "mig@1")["spearman"]
    assert len(table) == 4


def test_only_models_that_have_both_scores_are_correlated():
    table = rank_correlation(of_pairs([1, 2, None, math.inf, 4], [3, 2, 9, 8, 1]), HEADLINES)
    assert cell(table)["n"] == 3
    assert cell(table)["spearman"] == -1
    assert cell(table, "sap@1", "sap@1")["n"] == 5


@pytest.mark.parametrize(("mig", "sap"), [([1, 2], [1, 2]), ([1, 2, 3], [5, 5, 5]), ([1, 2, 3], [])])
def test_too_few_models_and_constant_scores_have_no_correlation(mig, sap):
    assert math.isnan(cell(rank_correlation(of_pairs(mig, sap), HEADLINES))["spearman"])


def test_no_sign_is_turned_but_said():
    less = ("unsupervised@1", "unsupervised_gaussian_total_correlation")
    frame = of_pairs([1, 2, 3], [3, 2, 1]).replace({"sap@1": less[0], "sap": less[1]})
    one = cell(rank_correlation(frame, {"mig@1": "mig", less[0]: less[1]}), b=less[0])
    assert one["spearman"] == -1
    assert [one["lower_is_better_a"], one["lower_is_better_b"]] == [False, True]


def test_nothing_is_joined_across_data_sources_and_splits():
    scores = [1, 2, 3], [1, 3, 2]
    parts = [of_pairs(*scores, source=s, split=t) for s in ("drawn", "official") for t in ("", "without 10%")]
    frame = pd.concat(parts)
    for table in (rank_correlation(frame, HEADLINES), variance_shares(frame, HEADLINES)):
        assert len(table[["source", "split"]].drop_duplicates()) == 4
    assert set(rank_correlation(frame, HEADLINES)["n"]) == {3}
    assert set(variance_shares(frame, HEADLINES)["models"]) == {3}


def test_calibration_and_other_scores_are_no_models():
    frame = of_pairs([1, 2, 3], [1, 3, 2])
    more = [line("c", 9, kind="calibration", method="noise"), line("m0", 9, "mig@1", "mig_other"),
            line("m0", 9, "mig@1[rows=5]"), line("d", None, "", "", status="diverged")]  # fmt: skip
    both = pd.concat([frame, pd.DataFrame(more)])
    for table in (rank_correlation, variance_shares, responses):
        pd.testing.assert_frame_equal(table(frame, HEADLINES), table(both, HEADLINES))


def test_a_model_that_is_there_twice_counts_once():
    frame = of_pairs([1, 2, 3], [1, 3, 2])
    assert len(models(pd.concat([frame, frame]), HEADLINES)) == 6


def test_unbalanced_shares_by_hand():
    groups = [("a", "x=1", [1, 3]), ("a", "x=2", [8]), ("b", "", [2, 4, 6, 4])]
    # Means: a 4 (2 and 8), b 4, all 4: between methods nothing.
    table = variance_shares(of_settings(groups), HEADLINES).iloc[0]
    setting, seed = Fraction(2 * 4 + 16), Fraction(2 + 8)
    assert [table[f"share_{part}"] for part in PARTS] == pytest.approx(
        [0, float(setting / 34), float(seed / 34)]
    )
    assert table[["methods", "settings", "models"]].tolist() == [2, 3, 7]
    assert [table[f"chance_{part}"] for part in PARTS] == pytest.approx([1 / 6, 1 / 6, 4 / 6])
    noise = seed / 4
    assert table["adjusted_setting"] == pytest.approx(float((setting - noise) / (34 + noise)))
    assert table["adjusted_method"] == pytest.approx(float(-noise / (34 + noise)))
    assert table["adjusted_seed"] == pytest.approx(float(7 * noise / (34 + noise)))


def test_means_of_methods_are_over_models_not_over_settings():
    groups = [("a", "x=1", [0, 0, 0]), ("a", "x=2", [4]), ("b", "", [3, 3])]
    table = variance_shares(of_settings(groups), HEADLINES).iloc[0]
    # a has the mean 1, b 3, all 10 / 6.
    method = 4 * (1 - 10 / 6) ** 2 + 2 * (3 - 10 / 6) ** 2
    assert table["share_method"] == pytest.approx(method / (method + 3 * 1 + 9))
    assert table["share_seed"] == pytest.approx(0)


def test_one_way_shares_are_those_of_the_analysis_of_variance():
    values = [[0.1, 0.5, 0.3], [0.9, 0.4], [0.2, 0.6, 0.7, 0.8]]
    table = variance_shares(of_settings(zip("abc", "   ", values, strict=True)), HEADLINES).iloc[0]
    f = f_oneway(*values).statistic
    assert table["share_method"] == pytest.approx(2 * f / (2 * f + 6))
    assert table["adjusted_method"] == pytest.approx(2 * (f - 1) / (2 * (f - 1) + 9))


def test_what_is_expected_by_chance_is_the_mean_over_all_orders():
    chance = variance_shares(
        of_settings([("a", "x=1", [1, 2]), ("a", "x=2", [3]), ("b", "", [4, 6, 9])]), HEADLINES
    )
    shares = []
    for values in itertools.permutations([0.1, 0.2, 0.35, 0.5, 0.9, 1.7]):
        x = np.array(values)
        of_method = np.r_[np.full(3, x[:3].mean()), np.full(3, x[3:].mean())]
        of_setting = np.r_[np.full(2, x[:2].mean()), x[2], np.full(3, x[3:].mean())]
        parts = ((of_method - x.mean()) ** 2, (of_setting - of_method) ** 2, (x - of_setting) ** 2)
        shares.append([part.sum() / ((x - x.mean()) ** 2).sum() for part in parts])
    assert chance[[f"chance_{part}" for part in PARTS]].iloc[0].tolist() == pytest.approx(
        np.mean(shares, axis=0)
    )


@pytest.mark.parametrize("field", ["steps", "batch", "lr", "latents", "precision"])
def test_a_setting_is_more_than_hyperparameters(field):
    frame = pd.concat([of_settings([("a", "", [1, 2])]), of_settings([("a", "", [3, 4])])])
    frame["run_key"] = [str(i) for i in range(4)]
    frame[field] = ["bf16", "bf16", "fp32", "fp32"] if field == "precision" else [1, 1, 2, 2]
    table = variance_shares(frame, HEADLINES).iloc[0]
    assert table["settings"] == 2
    assert table["share_setting"] == pytest.approx(4 / 5)


def test_what_cannot_be_told_is_nan_and_said():
    single = variance_shares(
        of_settings([("a", "", [1]), ("b", "", [3]), ("b", "x=1", [6])]), HEADLINES
    ).iloc[0]
    assert single["share_method"] == pytest.approx(((10 / 3 - 1) ** 2 + 2 * (10 / 3 - 4.5) ** 2) / (38 / 3))
    rest = [f"{what}_{part}" for what in ("share", "adjusted") for part in PARTS][1:]
    assert single[rest].isna().all()
    assert "cannot be told apart" in single["note"]
    equal = variance_shares(of_settings([("a", "", [0.1] * 3), ("b", "", [0.1] * 4)]), HEADLINES).iloc[0]
    assert equal[["share_method", *rest]].isna().all()
    assert "equal" in equal["note"]
    one = variance_shares(of_settings([("a", "", [1])]), HEADLINES).iloc[0]
    assert one["note"] == "one model"
    assert one[["share_method", "chance_method", *rest]].isna().all()


def test_shares_of_a_part_that_is_not_there_are_exactly_0():
    table = variance_shares(of_settings([("a", "", [0.1, 0.7, 0.3])]), HEADLINES).iloc[0]
    assert [table[f"share_{part}"] for part in PARTS] == [0, 0, 1]


scores = st.floats(-10, 10, allow_subnormal=False).map(lambda x: round(x, 3))
seeds = st.lists(scores, min_size=1, max_size=4)
groups_of_scores = st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x=1", "x=2"]), seeds)
designs = st.lists(groups_of_scores, min_size=1, max_size=6, unique_by=lambda group: group[:2])


@settings(max_examples=40)
@given(designs, st.floats(0.5, 20), st.floats(-5, 5), st.randoms())
def test_shares_add_up_and_know_no_scale_or_order(groups, scale, shift, random):
    frame = of_settings(groups)
    table = variance_shares(frame, HEADLINES).iloc[0]
    share = [f"{what}_{part}" for what in ("share", "chance", "adjusted") for part in PARTS]
    if not math.isnan(table["share_seed"]):
        for what in ("share", "chance", "adjusted"):
            assert sum(table[f"{what}_{part}"] for part in PARTS) == pytest.approx(1)
        assert all(-1e-12 <= table[f"share_{part}"] <= 1 + 1e-12 for part in PARTS)
    order = list(range(len(frame)))
    random.shuffle(order)
    assert variance_shares(frame.iloc[order], HEADLINES).iloc[0].equals(table)
    for sign in (1, -1):
        moved = variance_shares(frame.assign(value=sign * scale * frame["value"] + shift), HEADLINES).iloc[0]
        if frame["value"].nunique() > 1:  # rounding may tear equal scores apart, or not
            assert moved[share].to_numpy(float) == pytest.approx(
                table[share].to_numpy(float), abs=1e-6, nan_ok=True
            )


@settings(max_examples=40)
@given(st.lists(st.tuples(scores, scores), min_size=3, max_size=8), st.randoms())
def test_correlation_knows_ranks_alone_and_no_order(pairs, random):
    mig, sap = zip(*pairs, strict=True)
    frame = of_pairs(mig, sap)
    table = rank_correlation(frame, HEADLINES)
    order = list(range(len(frame)))
    random.shuffle(order)
    pd.testing.assert_frame_equal(rank_correlation(frame.iloc[order], HEADLINES), table)
    risen = cell(rank_correlation(of_pairs([v**3 for v in mig], sap), HEADLINES))["spearman"]
    turned = cell(rank_correlation(of_pairs([-v for v in mig], sap), HEADLINES))["spearman"]
    assert risen == pytest.approx(cell(table)["spearman"], nan_ok=True)
    assert turned == pytest.approx(-cell(table)["spearman"], nan_ok=True)
    assert not abs(cell(table)["spearman"]) > 1


def hyper_frame():
    lines = []
    for k, beta, values in [
        (1, 1, [0.1, 0.3]),
        (1, 4, [0.5, 0.7, 0.9]),
        ("rnd", 1, [0.2]),
        ("rnd", 4, [0.4]),
    ]:
        setting = f"beta={beta}, k={k}"
        lines += [
            line(
                f"{setting} {i}",
                v,
                method="ada_gvae",
                setting=setting,
                seed=i,
                **{"hyper.beta": beta, "hyper.k": k},
            )
            for i, v in enumerate(values)
        ]
    lines.append(line("v", 0.9, method="vae"))
    lines.append(line("b", 0.9, method="beta_vae", setting="beta=2", **{"hyper.beta": 2}))
    return pd.DataFrame(lines)


def test_scores_against_a_hyperparameter_all_else_equal():
    table = responses(hyper_frame(), HEADLINES)
    assert set(table["hyperparameter"]) == {"beta"}  # k has one value that is a number
    assert set(table["method"]) == {"ada_gvae"}  # beta-VAE has one value of beta
    own = table.set_index(["others", "hyper_value"])
    assert own["n"].to_dict() == {("k=1", 1): 2, ("k=1", 4): 3, ("k=rnd", 1): 1, ("k=rnd", 4): 1}
    assert own["mean"]["k=1", 4] == pytest.approx(0.7)
    assert own["ci95_half_width"]["k=1", 4] == pytest.approx(4.302653 * 0.2 / 3**0.5, rel=1e-6)
    assert math.isnan(own["ci95_half_width"]["k=rnd", 1])


def test_steps_are_something_to_plot_against():
    frame = pd.concat([of_settings([("a", "", [1, 2])], steps=n) for n in (10, 100)])
    frame["run_key"] = [str(i) for i in range(4)]
    table = responses(frame, HEADLINES)
    assert table[["hyperparameter", "others", "hyper_value"]].values.tolist() == [
        ["steps", "", 10.0],
        ["steps", "", 100.0],
    ]


def test_true_and_false_are_no_numbers():
    frame = of_settings([("a", "x=True", [1]), ("a", "x=False", [2])])
    assert responses(frame.assign(**{"hyper.x": [True, False]}), HEADLINES).empty


@pytest.mark.parametrize("table", [rank_correlation, variance_shares, responses])
def test_a_csv_file_gives_the_same_numbers(table):
    frame = pd.concat([hyper_frame(), of_pairs([1, 2, None], [3, 1, 2])])
    read = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    pd.testing.assert_frame_equal(table(read, HEADLINES), table(frame, HEADLINES), check_dtype=False)


@pytest.mark.parametrize("table", [rank_correlation, variance_shares, responses])
def test_no_rows_give_no_lines(table):
    frame = of_pairs([1], [2])
    full = table(frame, HEADLINES)
    assert list(table(frame[:0], HEADLINES).columns) == list(full.columns)
    assert table(frame[:0], HEADLINES).empty
    assert table(frame, {}).empty


def test_what_is_no_table_is_refused():
    frame = of_pairs([1], [2])
    with pytest.raises(InputError, match=r"no column latents, value; expected those of table\.csv"):
        models(frame.drop(columns=["latents", "value"]), HEADLINES)
    with pytest.raises(InputError, match="column value has 'high'; expected a number"):
        models(frame.assign(value=["high", 1]), HEADLINES)
