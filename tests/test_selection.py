"""Selection rules on small frames: known choices, ties, what is left out, what is never mixed."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle.board import UNIT, Column
from disentangle.board_text import selection_markdown
from disentangle.errors import InputError
from disentangle.rules import meaning, parse_rule
from disentangle.run import Run
from disentangle.selection import COLUMNS, select
from disentangle.selection_board import selection_boards
from disentangle.table import tidy

IDS = {"mig": "mig@1", "sap": "sap@1", "udr": "udr@1", "weak_reconstruction": "weak_reconstruction@1",
       "unsupervised_gaussian_total_correlation": "unsupervised@1", "dci_completeness": "dci_gbt@2",
       "dci_disentanglement": "dci_gbt@2", "unsupervised_mutual_info_score": "unsupervised@1"}  # fmt: skip


def row(method, hyper, seed, scores, status="done", source="drawn", kind="run", ids=IDS, **changes):
    """A row of rows/*.json; scores with a name outside `ids` give their id as ``name=id``."""
    run = Run(**{"method": method, "dataset": "toy", "hyper": hyper, "seed": seed, "steps": 5, **changes})
    run = run.complete() if kind == "run" else run
    named = {
        name.partition("=")[0]: (name.partition("=")[2] or ids.get(name), v) for name, v in scores.items()
    }
    found = [{"name": n, "id": i, "value": v, "points": "9", "seconds": 1.0} for n, (i, v) in named.items()]
    content = {f: getattr(run, f) for f in run.__struct_fields__ if f != "source"}
    return {
        "format": 1, "kind": kind, "key": run.key() if kind == "run" else "k", "study": "t", "run": content,
        "status": status, "data": {"name": run.dataset, "source": source, "checksum": "sha256:0"},
        "scores": found, "provenance": {}, "seconds": {"train": 1.0},
    }  # fmt: skip


def betas(score, values, **rest):
    """Rows of beta-VAE: beta to the values of a score over the seeds 0, 1, ..."""
    return [
        row("beta_vae", {"beta": beta}, seed, {score: value}, **rest)
        for beta, of in values.items()
        for seed, value in enumerate(of)
    ]


def choose(rows, text, fixed=None, order=()):
    return select(tidy(rows), parse_rule(text, fixed), order)


def board(selected, heads):
    """The boards of one rule as Markdown."""
    columns = [Column(i, score, meaning(score)[1]) for i, score in heads.items()]
    made = selection_boards(selected, columns)
    return selection_markdown(parse_rule(made[0].rule), made)


def chosen(rows, text, **rest):
    found = choose(rows, text, **rest)
    return found["chosen"].tolist()


TWO = betas("mig", {1: [0.1, 0.6], 4: [0.4, 0.5]})


def test_every_setting_is_a_line_where_nothing_is_selected():
    found = choose([*TWO, *betas("mig", {16: [0.0, 0.1]})], "every")
    assert list(found.columns) == COLUMNS
    assert found["chosen"].tolist() == ["beta=1", "beta=4", "beta=16"]  # numbers by their size
    assert found["mean"].tolist() == pytest.approx([0.35, 0.45, 0.05])
    assert found["candidates"].tolist() == [3, 3, 3]
    assert found["criterion"].isna().all()
    assert found["criterion_value"].isna().all()


def test_the_oracle_takes_the_best_mean_and_gives_all_scores_of_it():
    rows = [*TWO]
    rows[2] = row("beta_vae", {"beta": 4}, 0, {"mig": 0.4, "sap": 0.01})
    rows[3] = row("beta_vae", {"beta": 4}, 1, {"mig": 0.5, "sap": 0.03})
    found = choose(rows, "oracle:mig")
    assert found["score"].tolist() == ["mig", "sap"]
    assert found["metric_id"].tolist() == ["mig@1", "sap@1"]
    assert found["chosen"].tolist() == ["beta=4", "beta=4"]
    assert found["mean"].tolist() == pytest.approx([0.45, 0.02])
    assert found["std"].tolist() == pytest.approx([0.005**0.5, 0.0002**0.5])
    assert found["ci95_half_width"].tolist() == pytest.approx([12.706205 * 0.05, 12.706205 * 0.01])
    assert found["n"].tolist() == [2, 2]
    first = found.iloc[0]
    assert (first["rule"], first["criterion"], first["criterion_value"]) == ("oracle:mig", "mig", 0.45)
    assert (first["candidates"], first["left_out"], first["steps"], first["lr"]) == (2, "", 5, 1e-4)
    assert first["precision"] == "fp32"
    assert found["seed"].isna().all()


def test_a_model_is_a_setting_and_a_seed():
    found = choose(TWO, "oracle:mig/model")
    [line] = found.to_dict("records")
    assert (line["chosen"], line["seed"], line["mean"], line["n"]) == ("beta=1", 1, 0.6, 1)
    assert line["candidates"] == 4
    assert np.isnan(line["std"])
    assert np.isnan(line["ci95_half_width"])


@pytest.mark.parametrize(
    ("score", "rule", "best", "model"),
    [
        ("udr", "udr", "beta=4", ("beta=1", 1)),
        ("weak_reconstruction", "weak_reconstruction", "beta=1", ("beta=1", 0)),
        ("unsupervised_gaussian_total_correlation", None, "beta=1", ("beta=1", 0)),
        ("mig", None, "beta=4", ("beta=1", 1)),
    ],
)
def test_each_score_has_its_direction(score, rule, best, model):
    rule = rule or f"oracle:{score}"
    rows = betas(score, {1: [0.1, 0.6], 4: [0.4, 0.5]})
    assert chosen(rows, rule) == [best]
    found = choose(rows, f"{rule}/model")
    assert (found["chosen"][0], found["seed"][0]) == model


def test_fixed_settings_are_taken_whatever_the_scores_say():
    rows = [*TWO, row("vae", {}, 0, {"mig": 0.2})]
    found = choose(rows, "fixed", {"beta_vae": {"beta": 1.0}})
    assert found["method"].tolist() == ["beta_vae", "vae"]  # a single setting needs no entry
    assert found["chosen"].tolist() == ["beta=1", ""]
    pairs = [row("ada_gvae", {"k": k}, 0, {"mig": 0.1}) for k in (1, "rnd")]
    assert chosen(pairs, "fixed", fixed={"ada_gvae": {"k": "rnd"}}) == ["beta=1, k=rnd, pairs=paper"]


def test_a_fixed_setting_without_runs_is_named():
    [line] = choose(TWO, "fixed", {"beta_vae": {"beta": 3}}).to_dict("records")
    assert line["left_out"] == "beta=3: no run"
    assert (line["score"], line["n"]) == ("", 0)
    assert pd.isna(line["chosen"])
    rows = [*TWO[:2], *betas("mig", {4: [None]}, status="diverged")]
    [line] = choose(rows, "fixed", {"beta_vae": {"beta": 4}}).to_dict("records")
    assert line["left_out"] == "beta=4: diverged"
    assert pd.isna(line["chosen"])


def test_a_method_with_several_settings_needs_an_entry():
    message = r"beta_vae has several settings \(beta=1; beta=4\); expected one of them in fixed"
    with pytest.raises(InputError, match=message):
        choose(TWO, "fixed")
    rows = [row("beta_vae", {"beta": 4}, 0, {"mig": 0.1}, steps=steps) for steps in (5, 6)]
    message = r"\(beta=4, steps=5; beta=4, steps=6\); expected one that is beta=4"
    with pytest.raises(InputError, match=message):
        choose(rows, "fixed", {"beta_vae": {"beta": 4}})


def test_nothing_is_chosen_across_data_sets_sources_and_methods():
    rows = betas("mig", {1: [0.1], 4: [0.2]})
    rows += betas("mig", {1: [0.9], 4: [0.8]}, source="official")
    rows += betas("mig", {1: [0.5], 4: [0.6]}, dataset="dsprites")
    rows += [row("vae", {}, 0, {"mig": 1.0})]
    found = choose(rows, "oracle:mig")
    keys = ["dataset", "source", "method", "chosen"]
    assert found[keys].values.tolist() == [
        ["dsprites", "drawn", "beta_vae", "beta=4"],
        ["toy", "drawn", "beta_vae", "beta=4"],
        ["toy", "drawn", "vae", ""],
        ["toy", "official", "beta_vae", "beta=1"],
    ]


def test_steps_and_the_like_are_part_of_a_setting():
    rows = [row("vae", {}, 0, {"mig": value}, steps=steps) for value, steps in ((0.1, 5), (0.3, 7), (0.2, 9))]
    found = choose(rows, "oracle:mig")
    assert found[["steps", "candidates"]].values.tolist() == [[7, 3]]


def test_of_equal_ones_the_first_is_taken():
    rows = betas("mig", {16: [0.1, 0.2, 0.3], 4: [0.3, 0.2, 0.1], 1: [0.0, 0.0, 0.0]})
    assert chosen(rows, "oracle:mig") == ["beta=4"]  # 0.1 + 0.2 + 0.3 rounds up, 0.3 + 0.2 + 0.1 does not
    study = [tuple(tidy([r])[UNIT].iloc[0]) for r in rows[::3]]
    assert chosen(rows, "oracle:mig", order=study) == ["beta=16"]
    model = choose(rows, "oracle:mig/model")
    assert (model["chosen"][0], model["seed"][0]) == ("beta=4", 0)
    rows = betas("udr", {1: [0.2, 0.2]})
    assert choose(rows, "udr/model")["seed"].tolist() == [0]


def test_diverged_runs_never_count():
    rows = betas("mig", {1: [0.1, 0.2], 4: [0.3]})
    rows += [row("beta_vae", {"beta": 4}, 1, {}, status="diverged")]
    rows += [row("beta_vae", {"beta": 9}, 0, {"mig": 0.9}, status="diverged")]
    found = choose(rows, "oracle:mig")
    assert found[["chosen", "n", "candidates"]].values.tolist() == [["beta=4", 1, 2]]
    assert found["left_out"][0] == "beta=9: diverged"
    model = choose(rows, "oracle:mig/model")
    assert model["left_out"][0] == "beta=4, seed 1: diverged; beta=9, seed 0: diverged"
    assert choose(rows, "every")["left_out"].tolist() == ["beta=9: diverged"] * 2


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf"), "absent"])
def test_a_setting_that_lacks_the_criterion_somewhere_is_left_out_and_named(missing):
    rows = betas("mig", {1: [0.1, 0.2], 4: [0.9]})
    rows += [row("beta_vae", {"beta": 4}, 1, {"sap": 0.5} if missing == "absent" else {"mig": missing})]
    found = choose(rows, "oracle:mig")
    assert found["chosen"].tolist() == ["beta=1"]
    assert found["left_out"].tolist() == ["beta=4: mig of 1 of 2 runs"]
    model = choose(rows, "oracle:mig/model")
    assert model[["chosen", "seed"]].values.tolist() == [["beta=4", 0]]
    assert model["left_out"].tolist() == ["beta=4, seed 1: mig of 0 of 1 runs"]


def test_a_done_run_without_any_score_counts_as_one_that_lacks_the_criterion():
    rows = [*TWO, row("beta_vae", {"beta": 4}, 2, {})]
    found = choose(rows, "oracle:mig")
    assert found[["chosen", "left_out"]].values.tolist() == [["beta=1", "beta=4: mig of 2 of 3 runs"]]
    [line] = choose(rows[-1:], "every").to_dict("records")
    assert (line["chosen"], line["score"], line["n"]) == ("beta=4", "", 0)


def test_a_method_that_cannot_have_the_criterion_is_named():
    rows = [row("vae", {}, 0, {"mig": 0.5}), row("ada_gvae", {}, 0, {"weak_reconstruction": 30.0})]
    found = choose(rows, "weak_reconstruction")
    assert found["chosen"].isna().tolist() == [False, True]
    assert found["candidates"].tolist() == [1, 0]
    assert found["left_out"].tolist() == ["", "its only setting: weak_reconstruction of 0 of 1 runs"]
    assert "| VAE | *none* |  |  | missing | 0 | 0 |" in board(found, {"mig@1": "mig"})


def test_calibration_lines_do_not_compete():
    rows = [*TWO, row("noise", {}, 0, {"mig": 1.0}, kind="calibration")]
    assert choose(rows, "oracle:mig").equals(choose(TWO, "oracle:mig"))
    with pytest.raises(InputError, match="no runs to choose from; expected lines of the kind 'run'"):
        choose(rows[-1:], "every")


def test_protocols_of_the_criterion_are_not_mixed():
    rows = betas("mig", {1: [0.1]}) + betas("mig=mig@1[rows=50]", {4: [0.4], 9: [0.5]})
    message = r"mig is there under mig@1, mig@1\[rows=50\], .* such as 'oracle:mig@1/model'"
    with pytest.raises(InputError, match=message):
        choose(rows, "oracle:mig/model")
    found = choose(rows, "oracle:mig@1[rows=50]")
    assert found["chosen"].tolist() == ["beta=9"]
    assert found["left_out"].tolist() == ["beta=1: mig of 0 of 1 runs"]
    assert choose(rows, "oracle:mig@1[rows=50]/model")["seed"].tolist() == [0]
    rows = betas("udr", {1: [0.1]}) + betas("udr=udr@1[rows=50]", {4: [0.4], 9: [0.5]})
    with pytest.raises(InputError, match="such as 'udr@1'"):
        choose(rows, "udr")
    assert chosen(rows, "udr@1[rows=50]") == ["beta=9"]
    # An id stands for its headline, which this is not.
    rows = betas("dci_completeness", {1: [0.1]}) + betas("dci_completeness=dci_gbt@2[rows=50]", {4: [0.4]})
    with pytest.raises(InputError, match="expected a frame with one of them"):
        choose(rows, "oracle:dci_completeness")


def test_the_id_of_a_metric_means_its_headline():
    rows = [
        row("beta_vae", {"beta": beta}, 0, {"dci_disentanglement": d, "dci_completeness": c})
        for beta, d, c in ((1, 0.2, 0.9), (4, 0.3, 0.1))
    ]
    assert chosen(rows, "oracle:dci_gbt@2")[0] == "beta=4"
    assert chosen(rows, "oracle:dci_completeness")[0] == "beta=1"


def test_a_criterion_that_no_run_has_or_whose_direction_is_not_known_is_refused():
    with pytest.raises(InputError, match=r"unknown score among these runs 'migg'; did you mean 'mig'\?"):
        choose(TWO, "oracle:migg")
    with pytest.raises(InputError, match=r"unknown score among these runs 'udr'. Known: mig"):
        choose(TWO, "udr")
    with pytest.raises(InputError, match=r"unknown metric_id among these runs 'mig@1\[rows=5\]'.* 'mig@1'"):
        choose(TWO, "oracle:mig@1[rows=5]")
    rows = betas("unsupervised_mutual_info_score", {1: [0.1]})
    message = "unsupervised@1 says of unsupervised_gaussian_total_correlation alone whether less"
    with pytest.raises(InputError, match=message):
        choose(rows, "oracle:unsupervised_mutual_info_score")


def test_a_score_that_is_there_twice_is_refused():
    rows = [*TWO, row("beta_vae", {"beta": 4}, 1, {"mig": 0.5})]
    message = r"beta_vae beta=4, seed 1, on toy \(drawn\) has mig@1 mig twice; expected each"
    with pytest.raises(InputError, match=message):
        choose(rows, "every")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best", "unknown selection rule 'best'. Known: every, fixed, oracle:<score>"),
        ("", "unknown selection rule ''"),
        ("mig", "unknown selection rule 'mig'"),
        ("every/model", "unknown selection rule 'every/model'; did you mean"),
        ("udr/modell", "unknown selection rule 'udr/modell'; did you mean 'udr/model'"),
        ("oracle:", "unknown selection rule 'oracle:'; did you mean 'oracle:<score>'"),
        ("oracle:/model", "unknown selection rule 'oracle:/model'"),
        ("mig@1", "unknown selection rule 'mig@1'"),
        ("oracle:migg@1", "unknown metric id 'migg@1'; did you mean 'mig@1'"),
        ("oracle:udr", "'oracle:udr': udr uses no labels, so that it is no oracle; expected 'udr'"),
        ("oracle:udr@1/model", "udr uses no labels"),
    ],
)
def test_what_is_no_rule_is_refused(text, message):
    with pytest.raises(InputError) as caught:
        parse_rule(text)
    assert message in str(caught.value)


def test_what_is_fixed_is_checked_when_the_rule_is_made():
    with pytest.raises(InputError, match="unknown method 'beta_vea'; did you mean 'beta_vae'"):
        parse_rule("fixed", {"beta_vea": {"beta": 4}})
    with pytest.raises(InputError, match="unknown beta_vae hyperparameter 'betta'; did you mean 'beta'"):
        parse_rule("fixed", {"beta_vae": {"betta": 4}})
    assert parse_rule("udr", {"beta_vae": {"beta": 4}}).fixed == ()


def test_a_rule_says_in_a_sentence_what_it_does():
    oracle = parse_rule("oracle:mig")
    assert (oracle.name, oracle.criterion, oracle.level) == ("oracle:mig", "mig", "setting")
    assert "uses the labels" in oracle.about
    assert "optimistic" in oracle.about
    assert "lucky models are favoured" in parse_rule("oracle:mig/model").about
    udr, weak = parse_rule("udr"), parse_rule("weak_reconstruction/model")
    assert "highest mean udr over its seeds; no label" in udr.about
    assert "single model, a setting and a seed, with the lowest weak_reconstruction" in weak.about
    assert (udr.lower_is_better, weak.lower_is_better) == (False, True)
    for rule in (oracle, udr, weak, parse_rule("every"), parse_rule("fixed")):
        assert rule.about.count(".") == 1


def test_a_frame_of_a_csv_file_gives_the_same():
    rows = [*TWO, row("vae", {}, 0, {"mig": 0.2}), row("vae", {}, 1, {}, status="diverged")]
    frame = tidy(rows)
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    for text in ("every", "oracle:mig", "oracle:mig/model"):
        rule = parse_rule(text)
        pd.testing.assert_frame_equal(select(again, rule), select(frame, rule))


def test_the_frame_is_not_changed():
    frame = tidy(TWO)
    before = json.dumps(frame.to_dict("records"), default=str)
    select(frame, parse_rule("oracle:mig"))
    assert json.dumps(frame.to_dict("records"), default=str) == before


HEADS = {"mig@1": "mig", "unsupervised@1": "unsupervised_gaussian_total_correlation", "sap@1": "sap"}


def test_the_board_is_of_one_rule():
    less = "unsupervised_gaussian_total_correlation"
    rows = [row("beta_vae", {"beta": 4}, s, {"mig": v, less: v}) for s, v in enumerate((0.4, 0.5))]
    rows += [row("beta_vae", {"beta": 1}, 0, {"sap": 0.1})]
    rows += [row("vae", {}, s, {"mig": v} | ({less: v} if s else {})) for s, v in enumerate((0.1, 0.3))]
    rows += betas("mig", {2: [0.7]}, source="official")
    text = board(choose(rows, "oracle:mig"), HEADS)
    lines = text.splitlines()
    assert lines[0] == "# Selection rule: oracle:mig"
    assert lines[2] == parse_rule("oracle:mig").about
    assert [line for line in lines if line.startswith("## ")] == ["## toy (drawn)", "## toy (official)"]
    head = next(line for line in lines if line.startswith("| method"))
    assert head == (
        "| method | setting | steps | chosen by mig<br>`mig@1` | mig<br>`mig@1` | "
        f"{less} (less is better)<br>`unsupervised@1` | sap<br>`sap@1` | seeds | candidates |"
    )
    assert "| beta-VAE | beta=4 | 5 | 0.450 | **0.450 ± 0.071** | 0.450 ± 0.071 | missing | 2 | 1 |" in lines
    assert "| VAE |  | 5 | 0.200 | 0.200 ± 0.141 | **0.300** (n = 1) | missing | 2 | 1 |" in lines
    assert "Left out: beta-VAE: beta=1: mig of 0 of 1 runs." in lines
    assert "of equal ones the first is taken" in lines[-1]


def test_the_board_shows_the_seed_of_a_model_and_what_differs():
    rows = [row("vae", {}, 3, {"mig": 0.3}, lr=1e-3), row("beta_vae", {}, 0, {"mig": 0.1})]
    text = board(choose(rows, "oracle:mig@1/model"), {"mig@1": "mig"})
    assert "| method | setting | seed | steps | lr | chosen by mig<br>`mig@1` | mig<br>`mig@1` |" in text
    assert "| VAE |  | 3 | 5 | 0.001 | 0.300 | **0.300** | 1 | 1 |" in text
    assert "chosen by" not in board(choose(rows, "every"), {"mig@1": "mig"})


def test_rules_are_never_mixed_in_one_table():
    mixed = pd.concat([choose(TWO, "every"), choose(TWO, "oracle:mig")])
    with pytest.raises(InputError, match=r"the rules \['every', 'oracle:mig'\]; expected one: a table never"):
        board(mixed, {"mig@1": "mig"})
    with pytest.raises(InputError, match=r"the rules \[\]; expected one"):
        board(mixed[:0], {"mig@1": "mig"})


VALUES = st.one_of(st.none(), st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.7]), st.floats(-1, 1))
SETTINGS = st.dictionaries(
    st.sampled_from([1, 2, 4, 16]), st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=4
)


@settings(max_examples=50)
@given(SETTINGS, st.sampled_from(["oracle:mig", "udr", "weak_reconstruction"]), st.booleans(), st.randoms())
def test_nothing_eligible_is_better_and_the_order_of_the_rows_does_not_matter(values, text, model, random):
    score = text.removeprefix("oracle:")
    rule = parse_rule(f"{text}/model" if model else text)
    rows = [
        row("beta_vae", {"beta": beta}, seed, {score: value, "sap": 0.1 * seed})
        for beta, of in values.items()
        for seed, value in enumerate(of)
    ]
    frame = tidy(rows)
    found = select(frame, rule)
    if model:
        means = [v for of in values.values() for v in of if v is not None]
    else:
        means = [float(np.mean(of)) for of in values.values() if None not in of]
    assert found["candidates"][0] == len(means)
    if means:
        best = min(means) if rule.lower_is_better else max(means)
        assert found["criterion_value"][0] == pytest.approx(best, abs=1e-12)
    else:
        assert found["chosen"].isna().all()
        assert found["left_out"][0]
    shuffled = frame.iloc[random.sample(range(len(frame)), len(frame))]
    pd.testing.assert_frame_equal(select(shuffled, rule), found, check_exact=True)


def test_nothing_is_chosen_across_splits():
    """A split is what a model saw, not a setting of it."""
    own = betas("mig", {1: [0.7, 0.8], 4: [0.1, 0.2]}, split="correlated x y 0.1")
    found = choose([*TWO, *own], "oracle:mig")
    assert found[["split", "chosen"]].values.tolist() == [["", "beta=4"], ["correlated x y 0.1", "beta=1"]]
    assert found["candidates"].tolist() == [2, 2]
    fixed = choose([*TWO, *own], "fixed", {"beta_vae": {"beta": 4}})
    assert fixed["chosen"].tolist() == ["beta=4"] * 2
    text = board(found, {"mig@1": "mig"})
    assert "## toy (drawn), trained on `correlated x y 0.1`" in text
    assert text.count("**0.") == 2
    frame = tidy(TWO).drop(columns="split")  # of a version that had none
    assert select(frame, parse_rule("oracle:mig"))["chosen"].tolist() == ["beta=4"]
